"""The words of the command ``predict``; what it does is in :mod:`sftcore.pipeline.predict`."""

import argparse
from pathlib import Path
from typing import Any

LEAST_TILE, MOST_OVERLAP = 32, 0.9  # below and above, a picture is thousands of tiles
DESCRIPTION = """\
Writes a row for every file, or for every row of a table with texts: the label with its
confidence as trained (as in reports/evaluate/predictions.csv) and its calibrated probability;
the set of labels for the coverage that params.yaml wants; whether it abstains; the distance to
the training examples and whether it is unlike them; and the reason where there is no answer. Of
a model of labels: those from their thresholds on. Of numbers: y_<k> with the interval low_<k> to
high_<k>. Of a language model: an answer to every prompt, where texts are prompts and tables
have a column prompt or messages. Of masks: the classes on a picture. Of boxes: a JSON list of
class, score and box (left, top, right, bottom in the picture's own pixels). Both draw pictures
(--draw), and write masks (--masks) or COCO's file (--coco). A killed run goes on."""


def add_predict(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    parser = commands.add_parser(
        "predict", help="a finished model's answers for files, folders, zip archives, tables",
        description=DESCRIPTION,
    )  # fmt: skip
    parser.add_argument(
        "inputs",
        nargs="+",
        help="files, folders, quoted globs, zip archives, and of texts tables",
    )
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    parser.add_argument("--model", type=Path, default=Path("models/finetuned"))
    parser.add_argument(
        "--decision",
        default="",
        help="folder of the rules (default: beside --model); none: without",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also p_<k> of all classes, as trained"
    )
    parser.add_argument("--max-pixels", type=_positive, help="larger pictures are refused")
    parser.add_argument("--max-characters", type=_positive, help="longer texts are refused")
    parser.add_argument("--column", help="of tables, that holds the texts (default: by its name)")
    parser.add_argument("--max-tokens", type=_positive, help="of an answer (default: 128)")
    parser.add_argument(
        "--temperature", type=_from_zero, help="of an answer; 0, the default: no chance in it"
    )
    parser.add_argument(
        "--top-p", type=_part, help="of an answer: draw from the likeliest tokens of this share"
    )
    parser.add_argument("--seed", type=_count, help="of an answer's draws (default: 0)")
    _add_placed(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<index>")
    parser.add_argument(
        "--workers",
        type=_count,
        default=2,
        help="processes that decode pictures; 0: none beside this one",
    )


def _add_placed(parser: argparse.ArgumentParser) -> None:
    """Options of masks and boxes."""
    parser.add_argument(
        "--draw", type=Path, metavar="FOLDER",
        help="of masks and boxes: the pictures in their own size with what is found on them",
    )  # fmt: skip
    parser.add_argument(
        "--masks", type=Path, metavar="FOLDER",
        help="of masks: PNG whose values are the classes' numbers, in the pictures' own size",
    )  # fmt: skip
    parser.add_argument(
        "--coco", type=Path, metavar="FILE",
        help="of boxes: COCO's JSON in the pictures' own pixels, with scores",
    )  # fmt: skip
    parser.add_argument(
        "--tile", type=_side, metavar="SIDE",
        help="of masks and boxes: cut larger pictures into tiles of so many pixels a side, which "
        "the model sees one by one (default: a picture is seen whole, made as small as it must be)",
    )  # fmt: skip
    parser.add_argument(
        "--overlap", type=_overlap, metavar="FRACTION",
        help="of a tile that the next one shows, too, at least (default: 0.25)",
    )  # fmt: skip


def run_predict(options: argparse.Namespace) -> int:
    """Run it; gives the exit code."""
    from sftcore.use.kernels import choose_kernels

    choose_kernels(options.model)
    from sftcore.pipeline.predict import PredictOptions, predict
    from sftcore.use.output_options import OutputOptions
    from sftcore.use.reading import ReadingOptions

    asked = PredictOptions(
        inputs=options.inputs, out=options.out, model=options.model, decision=options.decision,
        with_probabilities=options.probabilities, device=options.device,
        num_workers=options.workers,
        reading=ReadingOptions(
            options.max_pixels, options.max_characters, options.column, options.max_tokens,
            options.temperature, options.top_p, options.seed, options.tile, options.overlap,
        ),
        outputs=OutputOptions(options.draw, options.masks, options.coco),
    )  # fmt: skip
    for line in predict(asked):
        print(line, flush=True)
    return 0


def _positive(text: str) -> int:
    value = _count(text)
    if not value:
        raise argparse.ArgumentTypeError("should be a whole number above 0")
    return value


def _side(text: str) -> int:
    value = _count(text)
    if value < LEAST_TILE:
        raise argparse.ArgumentTypeError(f"should be at least {LEAST_TILE} pixels")
    return value


def _overlap(text: str) -> float:
    value = _from_zero(text)
    if value > MOST_OVERLAP:
        raise argparse.ArgumentTypeError(f"should be at most {MOST_OVERLAP}")
    return value


def _part(text: str) -> float:
    value = _from_zero(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError("should be above 0 and at most 1")
    return value


def _from_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"should be a number from 0, not {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"should be a whole number, not {text!r}")
    return int(text)
