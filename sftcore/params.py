"""The typed tree of params.yaml: every parameter, its type, its range and its meaning.

Nothing here knows what a name does; :mod:`sftcore.recipe` turns names into objects.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from sftcore.errors import ParamsError

PARAMS_FILE = Path("params.yaml")
BASELINE_ROW = "none"
_MAX_YAML_LENGTH = 1_000_000
_SHORT = Repr()  # of what was given: a few lines of YAML can stand for gigabytes
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Channel = Annotated[int, Field(ge=0, le=255)]
Coefficient = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e3, allow_inf_nan=False)]
Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "step", "exponential"]
Scalar = bool | int | float | str | None


class Section(BaseModel):
    """A group of parameters that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataParams(Section):
    """Where the pictures come from and how they are split."""

    source: Annotated[str, Field(pattern=r"^(folder|table|torchvision:[A-Za-z0-9]+)$")]
    path: Annotated[str, Field(min_length=1)]
    table: Annotated[str, Field(min_length=1)]
    image_size: Annotated[int, Field(ge=16, le=1024)]
    background: Annotated[list[Channel], Field(min_length=3, max_length=3)]
    max_pixels: PositiveCount
    max_refused_fraction: Fraction
    min_pictures_per_class: Annotated[int, Field(ge=3)]
    near_duplicate_distance: Annotated[int, Field(ge=-1, le=256)]
    val_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    split_seed: Annotated[int, Field(ge=0, lt=2**63)]


class ModelParams(Section):
    """The pretrained network and what of it is trained."""

    backbone: Annotated[str, Field(pattern=r"^(torchvision|timm)/[A-Za-z0-9_.\-]+$")]
    weights: Annotated[str, Field(min_length=1)]
    trainable_blocks: Literal["all"] | Count
    dropout: Fraction


class TrainParams(Section):
    """The recipe of gradient descent."""

    epochs: Count
    head_epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: Optimizer
    learning_rate: Rate
    head_learning_rate: Rate
    momentum: Fraction
    schedule: Schedule
    warmup_fraction: Fraction
    clip_norm: Coefficient
    batch_norm: Literal["train", "freeze_statistics", "freeze_all"]
    weight_decay: Coefficient
    l1: Coefficient
    l2: Coefficient
    penalize_norm_and_bias: bool
    label_smoothing: Fraction
    augmentation: Annotated[float, Field(ge=0, le=1)]
    early_stopping_patience: Count
    selection_metric: Literal["val_loss", "val_accuracy"]

    @model_validator(mode="after")
    def _some_epochs(self) -> "TrainParams":
        if self.epochs + self.head_epochs == 0:
            raise ValueError("train.epochs and train.head_epochs are both 0: nothing would train")
        return self


class EvaluateParams(Section):
    """How the finished model is measured."""

    num_bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    num_calibration_bins: Annotated[int, Field(ge=2, le=100)]
    num_most_wrong: Annotated[int, Field(ge=1, le=100)]


class AblationParams(Section):
    """The grid of short trainings that measures what helps."""

    num_seeds: Annotated[int, Field(ge=2, le=100)]
    num_seeds_learning_rates: Annotated[int, Field(ge=1, le=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    base: dict[str, Scalar]
    regularization: Annotated[dict[str, dict[str, Scalar]], Field(min_length=1)]
    learning_rates: Annotated[list[Rate], Field(min_length=1)]
    schedules: Annotated[list[Schedule], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_baseline(self) -> "AblationParams":
        if self.regularization.get(BASELINE_ROW) != {}:
            raise ValueError(
                f"ablation.regularization needs the row `{BASELINE_ROW}: {{}}`: every other row is "
                "compared with it"
            )
        return self


class RuntimeParams(Section):
    """Where the numbers are computed."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")]
    mode: Literal["portable", "native"]
    num_threads: Annotated[int, Field(ge=1, le=1024)]
    num_workers: Annotated[int, Field(ge=1, le=1024)]
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrackingParams(Section):
    """Where the runs are recorded; changes no output."""

    enabled: bool
    experiment: Annotated[str, Field(min_length=1, max_length=200)]


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    data: DataParams
    model: ModelParams
    train: TrainParams
    evaluate: EvaluateParams
    ablation: AblationParams
    runtime: RuntimeParams
    tracking: TrackingParams


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    YAML 1.2 is read, in which ``1e-5`` is a number (YAML 1.1 makes it a string).

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    try:
        tree = read_yaml(path)
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is not here: run from the folder that holds dvc.yaml") from error
    params = check_params(tree, str(path))
    check_ablation(params)
    return params


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML 1.2 file.

    Raises:
        FileNotFoundError: there is no such file.
        ParamsError: it is not YAML.
    """
    from ruamel.yaml import YAML

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not a file of UTF-8 text: {error}") from error
    if len(text) > _MAX_YAML_LENGTH:
        raise ParamsError(f"{path} has {len(text)} characters, {_MAX_YAML_LENGTH} are allowed")
    try:
        return YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # the reader raises many kinds on hostile text
        raise ParamsError(f"{path} is not YAML: {str(error) or type(error).__name__}") from error


def check_params(tree: Any, origin: str) -> Params:
    """Build the typed tree from plain values.

    Args:
        tree: what YAML gave: nested mappings.
        origin: what the message calls the place of the faults.

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        faults = [_describe(fault) for fault in error.errors()]
        raise ParamsError(
            f"{origin} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  " + "\n  ".join(faults)
        ) from error


def check_ablation(params: Params) -> None:
    """Check every override of the ablation by applying it.

    Raises:
        ParamsError: overrides name no parameter or hold a value out of range; lists them all.
    """
    rows = {"ablation.base": params.ablation.base}
    for name, changes in params.ablation.regularization.items():
        rows[f"ablation.regularization.{name}"] = changes
    faults = []
    for origin, changes in rows.items():
        try:
            override(params, changes, origin)
        except ParamsError as error:
            faults.append(str(error))
    if faults:
        raise ParamsError("\n".join(faults))


def override(params: Params, changes: Mapping[str, Scalar], origin: str) -> Params:
    """A copy of ``params`` with some leaves of ``model`` and ``train`` changed.

    Args:
        params: the tree to start from.
        changes: value by dotted name, e.g. ``{"train.l1": 1e-4}``.
        origin: what the message calls the place of the faults.

    Raises:
        ParamsError: a name is not a parameter of ``model`` or ``train``, or a value is refused.
    """
    tree = params.model_dump()
    for name, value in changes.items():
        section, _, leaf = name.partition(".")
        if section not in ("model", "train") or leaf not in tree[section]:
            raise ParamsError(
                f"{origin}: {name!r} is not a parameter that a row can change. Allowed: "
                + ", ".join(f"{s}.{key}" for s in ("model", "train") for key in tree[s])
            )
        tree[section][leaf] = value
    return check_params(tree, origin)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings by dotted name; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def _describe(fault: ErrorDetails) -> str:
    """One fault in words: what, what is allowed, what was given."""
    place = ".".join(str(part) for part in fault["loc"] if not _is_union_tag(part))
    given = fault["input"]
    if fault["type"] == "extra_forbidden":
        return f"{place}: no such parameter{_suggest(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{place}: missing"
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not place:
        return text
    return f"{place}: {text}; given {_shown(given)}"


def _shown(value: Any) -> str:
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of too many digits"


def _is_union_tag(part: int | str) -> bool:
    """Whether pydantic put the tag of a union member into the location."""
    return isinstance(part, str) and (
        part in ("bool", "int", "float", "str", "none")
        or part.startswith(("literal[", "constrained-"))
    )


def _suggest(location: Sequence[int | str]) -> str:
    """Near names of the misspelt key's section, or all of them."""
    from difflib import get_close_matches

    section: type[BaseModel] = Params
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        section = annotation
    allowed = list(section.model_fields)
    near = get_close_matches(str(location[-1]), allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed)}"
