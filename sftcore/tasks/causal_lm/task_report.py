"""The report of answers to prompts, as a task's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sftcore.data.dialogues.canaries import canaries
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks.causal_lm.baselines import AS_IT_CAME, rows_to_beat
from sftcore.tasks.causal_lm.report import write_report
from sftcore.tasks.causal_lm.task import CausalLmTask
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import ANSWERS
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
    no_parts,
)
from sftcore.tasks.report_words import interval


class CausalLmReport(TaskReport):
    """What is said of dialogues are sums over their answers [N, 3].

    Attributes:
        planted: canaries that were trained on, of which the record tells.
    """

    examples = "dialogues"
    name = ANSWERS
    number = "perplexity"
    words = "perplexity"
    probe = AS_IT_CAME
    headline = CausalLmTask.headline
    figures = ("generalization_gap", "before_after", "baselines")
    tolerances: ClassVar[Mapping[str, float]] = {"perplexity": 1.0, "token_accuracy": 0.02}

    def __init__(self, names: Sequence[str], facts: Mapping[str, Any]) -> None:
        super().__init__(names, facts)
        self.planted = canaries(facts.get("canaries", 0), facts.get("canary_seed", 0))

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """How often each token comes, the model as it came, and with examples in its prompt.

        Raises:
            ValueError: nobody can be asked.
        """
        if test.speaker is None:
            raise ValueError("the rows to beat of answers are what a decoder says")
        known, choosing, asked = (list(of.read()) for of in (train, val, test))
        return rows_to_beat(known, choosing, asked, test.speaker)

    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """See :func:`sftcore.tasks.causal_lm.report.write_report`."""
        return write_report(finished, measuring, output, baselines, add_parts, self.planted)

    @classmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Dialogues."""
        return f"Fine-tuning on the answers of {data['num_dialogues']} dialogues"

    @classmethod
    def last_lines(cls, metrics: Mapping[str, Any]) -> list[str]:
        """How many answers end, where any was asked for."""
        of = metrics.get("answers", {})
        if not of.get("num_prompts"):
            return []
        return [f"greedy answers that end by themselves: {interval(of, 'ended')}"]

    @classmethod
    def worth_on_test(cls, metrics: Mapping[str, Any]) -> str:
        """What fine-tuning made of the model as it came: one model on one split."""
        worth = metrics["worth"]
        low, high = worth["test_perplexity_low"], worth["test_perplexity_high"]
        return (
            f"Against the model as it came, on test: perplexity lower by "
            f"{worth['test_perplexity']:.3f} [{low:.3f}, {high:.3f}]."
        )
