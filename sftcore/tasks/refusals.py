"""What makes no sense for a kind of examples, whatever is learnt of them; with the reasons."""

_NO_PROMPT = {
    "train.prompt_weight": "an example has a target of its own, and no prompt before it",
    "train.canaries": "a planted code has to be said, and nothing is said here",
}
_NO_DIALOGUE = {
    "model.text.too_long": "a longer text is cut",
    "model.text.template": "a text has no turns",
}
OF_PICTURES = _NO_PROMPT | {
    "data.texts": "the examples are pictures",
    "model.text": "the examples are pictures, and their backbones have no tokens",
    "train.augmentation.token_dropout": "a picture has no tokens to hide",
    "train.embeddings": "a picture has no token embeddings that noise could move",
}
_PIXELS = "a text has no pixels that could be changed or mixed"
OF_DIALOGUES = {
    "data.pictures": "the examples are no pictures",
    "model.stochastic_depth": "encoders of texts drop no residual branch as a whole; see "
    "model.text.hidden_dropout",
    **{
        f"train.augmentation.{name}": _PIXELS
        for name in ("strength", "policy", "erasing", "mixup", "cutmix")
    },
    "train.batch_norm": "encoders of texts have no batch norm",
    "train.features.co_tuning": "an encoder has learnt from texts without classes, so it has no "
    "classifier to train on",
}
OF_TEXTS = _NO_PROMPT | _NO_DIALOGUE | OF_DIALOGUES
