"""The report of classes of texts, as a task's."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks.classification.report import Telling
from sftcore.tasks.classification.task_report import ClassificationReport
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import CLASSES_OF_TEXTS
from sftcore.tasks.report_contract import Known, Shown
from sftcore.tasks.text_classification.baselines import tfidf_logistic_regression
from sftcore.tasks.text_classification.most_wrong import show_texts


class TextClassificationReport(ClassificationReport):
    """That of classes, with Matthews' correlation, a row of words alone and words that mattered."""

    name = CLASSES_OF_TEXTS
    examples = "texts"
    headline: ClassVar[Mapping[str, tuple[str, str]]] = {
        **ClassificationReport.headline,
        "test/mcc": ("test", "mcc"),
    }

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """Most frequent class, TF-IDF, nearest neighbours, logistic regression."""
        known, choosing = ((list(of.read()), of.targets.cpu().numpy()) for of in (train, val))
        of_words = tfidf_logistic_regression(known, choosing, list(test.read()), len(self.names))
        simplest, *others = super().rows_to_beat(train, val, test)
        return [simplest, of_words, *others]

    def telling(self, finished: Finished) -> Telling:
        """Of texts, with the words that mattered."""
        show_wrong = partial(show_texts, classes=self.names, explain=finished.explain)
        return Telling(self.name, self.examples, ("mcc",), show_wrong)
