"""What makes no sense for a kind of examples, whatever is learnt of them; with the reasons."""

_NO_PROMPT = {
    "train.prompt_weight": "an example has a target of its own, and no prompt before it",
    "train.canaries": "a planted code has to be said, and nothing is said here",
}
_NO_MAPS = {
    "data.annotations": "no file of annotations tells of the targets",
    "model.segmentation": "it is the head of masks",
    "model.detection": "it is the head of boxes",
    "train.pixel_loss": "it is of masks",
    "train.box_loss": "it is of boxes",
    "train.augmentation.copy_paste": "no mask says where an object is",
}
_NO_DIALOGUE = {
    "model.text.too_long": "a longer text is cut",
    "model.text.template": "a text has no turns",
}
_OF_ALL_PICTURES = _NO_PROMPT | {
    "data.texts": "the examples are pictures",
    "model.text": "the examples are pictures, and their backbones have no tokens",
    "train.augmentation.token_dropout": "a picture has no tokens to hide",
    "train.embeddings": "a picture has no token embeddings that noise could move",
}
OF_PICTURES = _NO_MAPS | _OF_ALL_PICTURES
_MIXED = "a mixture of two pictures shows no class at a place"
OF_ANNOTATED = _OF_ALL_PICTURES | {
    "data.source": "files of annotations name the pictures; see data.annotations.format",
    "data.targets": "files of annotations tell of masks and boxes; see data.annotations",
    "train.error": "classes have no distance, so there is no error to weigh",
    "train.head.strength": "the head has hidden layers, so there is no optimum to solve for",
    "train.augmentation.mixup": _MIXED,
    "train.augmentation.cutmix": f"{_MIXED}; see train.augmentation.copy_paste",
    "train.features.co_tuning": "it maps one class of the source to one class",
    "train.features.bss": "a head on maps takes no row of features for each picture",
}
_PIXELS = "a text has no pixels that could be changed or mixed"
OF_DIALOGUES = _NO_MAPS | {
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
