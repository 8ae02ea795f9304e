"""The unit that numbers are learnt in: standard deviations from the mean of the training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sftcore.foundations.errors import DataError

_ROUNDING = 1e-12  # of the largest value: less of a spread is none


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation of the training targets.

    Attributes:
        mean: of each number, K values in its unit.
        std: around that mean, K values in its unit, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_standard(self, numbers: np.ndarray) -> np.ndarray:
        """``(y − mean)/std`` of numbers [N, K] in their units, float64."""
        return (numbers.astype(float) - np.array(self.mean)) / np.array(self.std)

    def from_standard(self, standard: np.ndarray) -> np.ndarray:
        """Numbers in their units [N, K] of standardised ones, float64."""
        return standard.astype(float) * np.array(self.std) + np.array(self.mean)

    def to_record(self) -> dict[str, list[float]]:
        """What a model's file holds of it."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_record(cls, record: Mapping[str, Sequence[float]]) -> "TargetScale":
        """The scale of a model's file.

        Args:
            record: of :meth:`to_record`.

        Raises:
            DataError: mean and std are not equally many finite numbers, or a std is not above 0.
        """
        scale = cls(tuple(map(float, record["mean"])), tuple(map(float, record["std"])))
        is_sound = len(scale.mean) == len(scale.std) and np.isfinite(scale.mean + scale.std).all()
        if not is_sound or min(scale.std, default=0.0) <= 0:
            raise DataError(
                f"the record of the targets' scale is damaged ({record}): train the model again"
            )
        return scale


def fit_scale(targets: np.ndarray, names: Sequence[str]) -> TargetScale:
    """The scale of the training rows.

    The standard deviation divides by N, so that guessing the mean has a squared loss of exactly 1.

    Args:
        targets: [N, K], in their units.
        names: of the numbers, K.

    Raises:
        DataError: there are fewer than two rows, a number is not finite, or one does not vary.
    """
    if len(targets) < 2:
        raise DataError(f"{len(targets)} training rows have no spread: at least two are needed")
    exact = targets.astype(float)
    for name, column in zip(names, exact.T, strict=True):
        if not np.isfinite(column).all():
            count = int((~np.isfinite(column)).sum())
            raise DataError(
                f"{name!r} is missing or infinite in {count} training rows: fill it in, or take "
                "those rows out"
            )
        if column.std() <= _ROUNDING * np.abs(column).max():
            raise DataError(
                f"{name!r} is {column[0]:g} in every training row: there is nothing to learn, take "
                "it out of the targets"
            )
    return TargetScale(tuple(exact.mean(axis=0).tolist()), tuple(exact.std(axis=0).tolist()))
