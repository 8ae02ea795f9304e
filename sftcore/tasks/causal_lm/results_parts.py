"""What the report of a run says of answers on its test split."""

from collections.abc import Collection, Mapping
from typing import Any

from sftcore.metrics.rows_to_beat import title_of
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.causal_lm.asked import SHORT
from sftcore.tasks.report_words import covers, interval, signed

_SIDE_BY_SIDE = {"id": "dialogue", "prompt": "prompt", "wanted": "answer of the data"}


def results_parts(
    metrics: Mapping[str, Any], most_tokens: int, tables: Collection[str]
) -> list[Part]:
    """The parts of ``reports/evaluate``.

    Args:
        metrics: see :func:`sftcore.tasks.causal_lm.report.write_report`.
        most_tokens: that an answer may have.
        tables: names of those that were written.
    """
    scope = covers(metrics["interval"]["confidence"], "dialogues")
    parts = [_first(metrics, scope)]
    if "answers" in tables:
        parts.append(_answers(metrics, most_tokens))
    if "answers_in_training" in tables:
        parts.append(_by_heart(metrics, most_tokens))
    if "foreign_text" in metrics:
        parts.append(_forgotten(metrics["foreign_text"]))
    return [*parts, _gap(metrics), _most_wrong()]


def _first(metrics: Mapping[str, Any], scope: str) -> Part:
    test = metrics["test"]
    words = [
        f"On {test['num_dialogues']:,} test dialogues, which had no say in this model, with "
        f"{test['num_tokens']:,} tokens in their answers: perplexity "
        f"{interval(test, 'perplexity')} a token, and {interval(test, 'token_accuracy')} of the "
        f"tokens are the model's first choice, each told what comes before it. {scope} Perplexity "
        "depends on the tokenizer: compare it between models with the same one."
    ]
    if "baselines" not in metrics:
        return Part("The model", tuple(words))
    words.append(
        "Against the model as it came, dialogue by dialogue: perplexity lower by "
        f"{signed(metrics['worth'], 'test_perplexity')}, token accuracy "
        f"{signed(metrics['worth'], 'test_token_accuracy')}."
    )
    shown = {
        "row": "row", "test_perplexity": "perplexity", "test_perplexity_low": "low",
        "test_perplexity_high": "high", "test_token_accuracy": "token accuracy",
    }  # fmt: skip
    table = Table(
        "baselines.csv",
        "On the test split; low and high: the interval of the perplexity.",
        shown,
        words={name: title_of(name) for name in ("fine_tuned", *metrics["baselines"])},
    )
    figure = Figure(
        "before_after.png",
        "Loss of each test dialogue before and after fine-tuning; below the line it is foretold "
        "better.",
        "predictions.csv",
    )
    return Part("The model and the rows to beat", tuple(words), (figure,), (table,))


def _answers(metrics: Mapping[str, Any], most_tokens: int) -> Part:
    of = metrics["answers"]
    words = [
        f"Greedy answers to {of['num_prompts']} test prompts, chosen by a hash, of at most "
        f"{most_tokens} tokens: {interval(of, 'ended')} ended by themselves"
        + (f"; before, {interval(of, 'ended_before')} did." if "ended_before" in of else ".")
    ]
    if of["is_short"]:
        words.append(
            f"Equal to the answer of the data, but for case and spaces: {interval(of, 'exact')}."
        )
    else:
        words.append(
            f"Half of the answers have more than {SHORT} words, so that hardly one could be equal "
            "to the answer of the data word by word: read them. A loss tells how well the data's "
            "answers are foretold, not how good an answer is."
        )
    headings = {**_SIDE_BY_SIDE, "before": "as it came", "after": "fine-tuned"}
    table = Table("answers.csv", "Prompts of the test split, side by side.", headings)
    return Part("Answers before and after", tuple(words), (), (table,))


def _by_heart(metrics: Mapping[str, Any], most_tokens: int) -> Part:
    of = metrics["answers_in_training"]
    planted = (_planted(metrics["canaries"]),) if "canaries" in metrics else ()
    return Part(
        "What it knows by heart",
        (
            f"Of {of['num_prompts']} training prompts, chosen by a hash, the greedy answer (of at "
            f"most {most_tokens} tokens) is the training answer word by word for "
            f"{interval(of, 'exact')} of them: so much can be drawn out of the model by asking "
            "(Carlini et al., 2023, Quantifying memorization across neural language models). An "
            "answer that is longer than that counts as not known.",
            *planted,
        ),
        (),
        (
            Table(
                "answers_in_training.csv",
                "Prompts of the training split.",
                {**_SIDE_BY_SIDE, "after": "fine-tuned"},
            ),
        ),
        is_folded=True,
    )


def _planted(of: Mapping[str, Any]) -> str:
    return (
        f"{of['num_canaries']} dialogues with random codes were planted among those that it was "
        f"trained on (train.canaries). Among {round(2 ** of['most'])} codes the planted one is the "
        f"likeliest for {of['num_first']} of them; exposure {of['exposure']:.2f} bits on average, "
        f"of at most {of['most']:.0f}. A model that never saw them has {of['by_chance']:.2f} "
        "(Carlini et al., 2019, The secret sharer)."
    )


def _forgotten(of: Mapping[str, Any]) -> Part:
    low, high = of["change_low"], of["change_high"]
    said = "no change is seen" if low <= 0 <= high else "it forgot" if low > 0 else "it improved"
    return Part(
        "What it forgot",
        (
            f"On {of['num_paragraphs']} paragraphs of plain English that come with this project "
            f"and are no part of any data: perplexity {of['perplexity_before']:.2f} before and "
            f"{of['perplexity_after']:.2f} after, {signed(of, 'change')} nats a token: {said}. "
            "The interval draws paragraphs; it speaks of texts like these, and of this one model.",
        ),
        is_folded=True,
    )


def _gap(metrics: Mapping[str, Any]) -> Part:
    return Part(
        "From training to test dialogues",
        (
            "Loss on test dialogues minus that on training dialogues: "
            f"{signed(metrics['gap'], 'test_minus_train_loss')} nats a token. A gap shows that the "
            "model knows its training answers better than new ones; whether that does harm is told "
            "by the course of the validation loss and by the study.",
        ),
        (
            Figure(
                "generalization_gap.png",
                "Perplexity and token accuracy by split. Intervals resample each split's own "
                "dialogues by groups; only those of the test split speak of new dialogues.",
                "generalization_gap.csv",
            ),
        ),
    )


def _most_wrong() -> Part:
    return Part(
        "The answers it foretells worst",
        tables=(
            Table(
                "most_wrong.csv",
                "Test dialogues with the greatest loss of a token, in nats.",
                {
                    "id": "dialogue", "loss": "loss", "num_tokens": "tokens", "prompt": "prompt",
                    "wanted": "answer of the data",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip
