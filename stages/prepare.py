"""Open, judge, group and split the pictures: ``python -m stages.prepare``.

Writes data/prepared.
"""

from pathlib import Path

from sftcore.data.prepare import prepare
from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.interruption import leave_on_signals
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.params import load_params


def main() -> None:
    """Run the stage."""
    data = load_params().data
    summary = prepare(
        source=data.source,
        path=Path(data.path),
        table=data.table,
        image_size=data.image_size,
        background=(data.background[0], data.background[1], data.background[2]),
        max_pixels=data.max_pixels,
        max_refused_fraction=data.max_refused_fraction,
        min_pictures_per_class=data.min_pictures_per_class,
        near_duplicate_distance=data.near_duplicate_distance,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        output=PREPARED,
    )
    print(
        f"{summary['num_pictures']} pictures, {summary['num_refused']} refused: {summary['splits']}"
    )


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
