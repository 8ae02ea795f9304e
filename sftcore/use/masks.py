"""A model of masks in use: a temperature of the pixels' probabilities, and the distance."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.foundations.artifacts import write_csv
from sftcore.metrics.binned_calibration import binned_calibration, reliability_curve
from sftcore.metrics.pixel_calibration import PixelCalibration, pixel_nll
from sftcore.reporting.overlays import class_colours, with_mask
from sftcore.reporting.parts import Part, Table
from sftcore.tasks.segmentation.records import calibration_at, pixel_temperature
from sftcore.use.contract import ToJudge, unlike_line
from sftcore.use.decision import AnyDecision, UnlikeRule, with_shares
from sftcore.use.found_masks import (
    BACKGROUND,
    PRESENT_FROM,
    FoundMask,
    find_mask,
    present_classes,
)
from sftcore.use.rules import Wanted, distances_from_train, unlike_rule
from sftcore.use.tiled_usage import TiledUsage
from sftcore.use.tiles import TiledAnswers
from sftcore.use.unlike_part import unlike_part

NUM_BINS = 15  # of confidence
_DIGITS = 6
_ROWS_AT_ONCE = 128  # of a drawing, which takes 60 bytes a pixel while it is made


@dataclass(frozen=True)
class TemperatureRule:
    """What the pixels' probabilities are divided by, before they are probabilities.

    Errors are calibration errors (ECE of :data:`NUM_BINS` bins) over all judged pixels of the test
    pictures, and negative log-likelihoods their mean in nats; None where no pixel is judged.

    Attributes:
        temperature: T of ``softmax(z / T)``, fitted on validation.
        num_pixels: of validation, that it was fitted on.
        test_error: at the temperature.
        test_error_as_trained: without it.
        test_nll: at the temperature.
        test_nll_as_trained: without it.
    """

    temperature: float
    num_pixels: int
    test_error: float | None
    test_error_as_trained: float | None
    test_nll: float | None
    test_nll_as_trained: float | None


@dataclass(frozen=True, kw_only=True)
class MaskDecision(AnyDecision):
    """The rules of one model of masks.

    Attributes:
        pixels: the temperature.
    """

    pixels: TemperatureRule


@dataclass(frozen=True)
class FixedMasks:
    """The rules, with what they were measured on.

    Attributes:
        decision: the rules.
        directions: what the distance is measured to [M, D].
        distances: of the pictures of ``val`` and of ``test``.
        table: confidence against frequency on test, at the temperature; see
            :func:`sftcore.metrics.binned_calibration.reliability_curve`.
    """

    decision: MaskDecision
    directions: Tensor
    distances: Mapping[str, np.ndarray]
    table: pd.DataFrame


class MaskUsage(TiledUsage[MaskDecision, FixedMasks, FoundMask]):
    """Answers are logits of classes at the places of a coarse grid."""

    writes = ("draw", "masks")

    @property
    def plain(self) -> tuple[str, ...]:
        """The picture's size, the classes on it, and the mean of the pixels' probabilities."""
        return ("width", "height", "classes", "confidence")

    @property
    def decided(self) -> tuple[str, ...]:
        """The same mean at the temperature, and the distance."""
        return ("probability", "distance", "unlike")

    def fix(self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str) -> FixedMasks:
        """The temperature of the least negative log-likelihood on pixels of validation."""
        directions, distances = distances_from_train(judged.features, judged.rows)
        val, test = judged.rows["val"], judged.rows["test"]
        temperature, num_pixels = pixel_temperature(*_pictures(judged, val))
        records = [
            calibration_at(*_pictures(judged, test), divisor, NUM_BINS)
            for divisor in (temperature, 1.0)
        ]
        decision = MaskDecision(
            model_sha256=model_sha256,
            device=device,
            confidence=wanted.confidence,
            num_val=len(val),
            num_val_groups=len(set(judged.groups[val].tolist())),
            pixels=TemperatureRule(
                round(temperature, _DIGITS),
                num_pixels,
                *(_error(record) for record in records),
                *(_nll(record) for record in records),
            ),
            unlike=unlike_rule(distances["val"], distances["test"], judged.groups[test], wanted),
        )
        return FixedMasks(decision, directions, distances, reliability_curve(records[0].histogram))

    def parts(
        self,
        fixed: FixedMasks,
        ids: dict[str, Sequence[str]],
        folder: Path,
        examples: str = "pictures",
    ) -> list[Part]:
        """Of the temperature and of the distance."""
        write_csv(folder / "pixel_confidence.csv", fixed.table)
        columns = {
            "low": "above", "high": "up to", "count": "pixels", "confidence": "confidence, mean",
            "frequency": "right",
        }  # fmt: skip
        table = Table("pixel_confidence.csv", f"Pixels of test {examples} by confidence.", columns)
        decision = fixed.decision
        temperature = Part(
            title="What the confidence of a pixel is worth",
            text=tuple(_words_of(decision, examples)),
            tables=(table,),
            is_folded=True,
        )
        return [temperature, unlike_part(fixed.distances, ids, decision.unlike, folder, examples)]

    def read(self, fields: Mapping[str, Any]) -> MaskDecision:
        """The temperature and the distance."""
        rules = {
            "pixels": TemperatureRule(**fields["pixels"]),
            "unlike": UnlikeRule(**with_shares(fields["unlike"])),
        }
        return MaskDecision(**{**fields, **rules})

    def find(self, said: TiledAnswers, rules: MaskDecision | None) -> FoundMask:
        """The class of each pixel; the temperature moves none."""
        return find_mask(said, 1.0 if rules is None else rules.pixels.temperature)

    def row(self, found: FoundMask) -> dict[str, Any]:
        """Classes as a JSON list, the largest first; ``p_<k>`` is a class's part of the pixels."""
        height, width = found.mask.shape
        return {
            "width": width,
            "height": height,
            "classes": json.dumps(present_classes(found, self.names), ensure_ascii=False),
            "confidence": found.confidence,
            "probability": found.probability,
            **{f"p_{k}": share for k, share in enumerate(found.shares.tolist())},
        }

    def drawn(self, image: np.ndarray, found: FoundMask) -> np.ndarray:
        """Classes in their colours; a background is left as it is."""
        colours, background = class_colours(self.names), background_of(self.names)
        parts = [
            with_mask(image[rows], found.mask[rows], colours, background)
            for rows in (slice(k, k + _ROWS_AT_ONCE) for k in range(0, len(image), _ROWS_AT_ONCE))
        ]
        return np.concatenate(parts)

    def told(
        self, decision: MaskDecision, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """What is called present, and what the mean probability can be trusted for."""
        rule = decision.pixels
        yield (
            f"classes: those with at least {PRESENT_FROM:.1%} of a picture's pixels, the largest "
            f"first, without {BACKGROUND}"
        )
        yield (
            f"probability: of a pixel's class, at a temperature of {rule.temperature:.3f} of "
            f"{decision.num_val} validation {plural}, mean over the pixels; calibration error "
            f"of test pixels {_shown(rule.test_error)}, as trained "
            f"{_shown(rule.test_error_as_trained)}"
        )
        yield unlike_line(decision.unlike, counts["unlike"], num_examples, plural)


def background_of(names: Sequence[str]) -> int | None:
    """Number of the class that is called ``background``, if there is one."""
    return list(names).index(BACKGROUND) if BACKGROUND in names else None


def _pictures(judged: ToJudge, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Answers and targets of some rows, not copied."""
    return [judged.answers[row] for row in rows], [judged.targets[row] for row in rows]


def _error(record: PixelCalibration) -> float | None:
    return _or_none(binned_calibration(record.histogram, np.ones((1, len(record.nll_sum)))).ece[0])


def _nll(record: PixelCalibration) -> float | None:
    return _or_none(pixel_nll(record, np.ones((1, len(record.nll_sum))))[0])


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _words_of(decision: MaskDecision, examples: str) -> Iterator[str]:
    rule = decision.pixels
    if not rule.num_pixels:
        yield f"No pixel of the validation {examples} has a class, so nothing could be calibrated."
        return
    yield (
        f"The logits of a pixel are divided by the temperature {rule.temperature:.3f}, which "
        f"makes the classes of {rule.num_pixels:,} pixels of the {decision.num_val} validation "
        f"{examples} most likely. Which class a pixel is given stays the same. On test {examples}, "
        f"which had no say, the calibration error is {_shown(rule.test_error)} (as trained: "
        f"{_shown(rule.test_error_as_trained)}) and the negative log-likelihood of a pixel "
        f"{_shown(rule.test_nll)} nats (as trained: {_shown(rule.test_nll_as_trained)})."
    )
    yield (
        "One number serves all pixels. Those at the edge between two things are seldom as sure as "
        "those inside of one, and a mean over a picture says nothing of a single pixel."
    )
