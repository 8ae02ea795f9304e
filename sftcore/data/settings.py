"""Where the data come from and how they are split."""

from typing import Annotated

from pydantic import Field

from sftcore.data.pictures.settings import PictureSettings
from sftcore.data.targets.settings import AnnotationSettings, TargetSettings
from sftcore.data.texts.settings import TextSettings
from sftcore.foundations.settings import Fraction, Seed, Settings, setting


class DataSettings(Settings):
    """Where the examples come from and how they are split."""

    source: Annotated[
        str,
        Field(
            pattern=r"^(auto|folder|splits|table|imagefolder|saved|parquet|webdataset"
            r"|torchvision:[A-Za-z0-9]+)$"
        ),
    ] = setting(
        "auto", "auto looks and says what it sees; or folder | splits | table | imagefolder | "
        "saved | parquet | webdataset | torchvision:<Name>"
    )  # fmt: skip
    path: Annotated[str, Field(min_length=1)] = setting(
        "data/clipart", "folder, archive or table of the data; layouts: docs/usage.md"
    )
    table: Annotated[str, Field(min_length=1)] = setting(
        "labels.csv", "file in data.path with columns path, label[, split, group]; for table"
    )
    max_refused_fraction: Fraction = setting(
        0.1, "more broken examples than this stop the run; copies do not count"
    )
    min_per_class: Annotated[int, Field(ge=3)] = setting(
        10, "fewest usable examples of a class, or with and without a label"
    )
    near_duplicate_distance: Annotated[int, Field(ge=-1, le=256)] = setting(
        40, "bits of 256 up to which two are compared in full; -1 is off"
    )
    val_fraction: Annotated[float, Field(gt=0, lt=0.5)] = setting(
        0.2, "of the whole, for every choice"
    )
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)] = setting(
        0.2, "of the whole; no say in a model, measured by evaluate in every run"
    )
    split_seed: Seed = setting(
        0, "another number draws another split; no other seed moves an example"
    )
    annotations: AnnotationSettings = AnnotationSettings()
    pictures: PictureSettings = PictureSettings()
    texts: TextSettings = TextSettings()
    targets: TargetSettings = TargetSettings()
