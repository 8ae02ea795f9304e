"""Reading a study: the file that ``ablation.study`` names."""

from collections.abc import Mapping
from pathlib import Path

from sftcore.foundations.errors import ParamsError
from sftcore.foundations.settings import Scalar
from sftcore.foundations.yaml_files import PARAMS_FILE, read_yaml
from sftcore.settings.grids import Changes, GridSettings
from sftcore.settings.reading import build_tree
from sftcore.settings.tree import Params, load_params, override

STUDIES = Path("studies")  # beside params.yaml


def load_with_study(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml and the study that it names.

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    return with_study(load_params(path), path.parent / STUDIES)


def with_study(params: Params, folder: Path = STUDIES, name: str = "") -> Params:
    """The same with the grid of the study in ``ablation.grid``.

    It stays None where the file is empty. Every override of the grid has been applied once.

    Args:
        params: name the study.
        folder: of the studies' files.
        name: of another study than that.

    Raises:
        ParamsError: there is no such study, or its file has faults; lists them all.
    """
    name = name or params.ablation.study
    try:
        tree = read_yaml(folder / f"{name}.yaml")
    except FileNotFoundError as error:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ParamsError(
            f"ablation.study: there is no {folder / name}.yaml; there are {known or 'none'}"
        ) from error
    ablation = params.ablation.model_copy(update={"study": name, "grid": None})
    params = params.model_copy(update={"ablation": ablation})
    if not tree:
        return params
    grid = build_tree(GridSettings, tree, str(folder / f"{name}.yaml"))
    check_grid(params, grid)
    return params.model_copy(update={"ablation": ablation.model_copy(update={"grid": grid})})


def studied(params: Params) -> Params:
    """The recipe that the study's trainings start from: the user's, or what stands in for it.

    Args:
        params: with the study's grid.

    Raises:
        ParamsError: the study's ``stand_in`` names no parameter or holds a value out of range.
    """
    changes = params.ablation.chosen.stand_in
    return override(params, changes, f"{params.ablation.origin}: stand_in") if changes else params


def check_grid(params: Params, grid: GridSettings) -> None:
    """Check every override of a study by applying it.

    Args:
        params: that the overrides change.
        grid: of the study that ``params`` names.

    Raises:
        ParamsError: overrides name no parameter or hold a value out of range; lists them all.
    """
    rows: dict[str, Changes] = {}
    file = params.ablation.origin
    own = override(params, grid.stand_in, f"{file}: stand_in")
    rows[f"{file}: screen.base"] = grid.screen.base
    for name, row in grid.screen.rows.items():
        for number, changes in enumerate(settings_of(row)):
            origin = f"{file}: screen.rows.{name}"
            rows[f"{origin}, setting {number + 1}" if number else origin] = changes
    if grid.stability is not None:
        rows[f"{file}: stability.base"] = grid.stability.base
        for name, changes in grid.stability.answers.items():
            rows[f"{file}: stability.answers.{name}"] = changes
    faults = []
    for origin, changes in rows.items():
        try:
            override(own, changes, origin)
        except ParamsError as error:
            faults.append(str(error))
    if faults:
        raise ParamsError("\n".join(faults))


def settings_of(row: Mapping[str, Scalar | list[Scalar]]) -> list[dict[str, Scalar]]:
    """The settings that a row tries, one per place in its lists; single values are in all."""
    count = max((len(value) for value in row.values() if isinstance(value, list)), default=1)
    return [
        {name: value[i] if isinstance(value, list) else value for name, value in row.items()}
        for i in range(count)
    ]
