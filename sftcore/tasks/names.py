"""Names of tasks, for what must not import all that a task trains with."""

CLASSES, LABELS, NUMBERS = "classification", "multilabel", "regression"
