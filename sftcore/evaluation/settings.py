"""How the finished model is measured."""

from typing import Annotated

from pydantic import Field

from sftcore.foundations.settings import Count, PositiveCount, Settings, setting


class AnswersSettings(Settings):
    """Answers of a language model that are written out; each token takes a pass."""

    num_prompts: Count = setting(16, "prompts of test, and of train, that are answered")
    most_tokens: PositiveCount = setting(64, "of an answer")


class EvaluateSettings(Settings):
    """How the finished model is measured.

    What `python -m sftcore predict` goes by is fixed on validation and measured on test.
    """

    num_bootstrap: Annotated[int, Field(ge=100, le=100_000)] = setting(
        2000, "resamples behind each interval"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = setting(0.95, "of the intervals")
    num_calibration_bins: Annotated[int, Field(ge=2, le=100)] = setting(
        15, "of the expected calibration error"
    )
    num_most_wrong: Annotated[int, Field(ge=1, le=100)] = setting(
        16, "most wrong examples that are shown"
    )
    coverage: Annotated[float, Field(ge=0.5, lt=1)] = setting(
        0.9, "how often a set of labels is to hold the right one"
    )
    answer_accuracy: Annotated[float, Field(gt=0, le=1)] = setting(
        0.9, "how often answers are to be right; the rest abstains"
    )
    known_fraction: Annotated[float, Field(gt=0.5, lt=1)] = setting(
        0.95, "of validation examples that pass as like the training examples"
    )
    answers: AnswersSettings = AnswersSettings()
