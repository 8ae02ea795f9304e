"""``data.source: auto``: what a look at the names says the data are, or one clear question."""

from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import listed
from sftcore.data.sources.names import is_example_name, split_of
from sftcore.data.sources.registry import SOURCES
from sftcore.data.sources.split_folders import split_folders
from sftcore.data.sources.tables import faults_of_tables
from sftcore.data.sources.trees import several_archives
from sftcore.foundations.errors import DataError

# A kind whose files no other kind has; class folders are not looked for beside them.
_UNMISTAKABLE = ("saved", "parquet")


def choose(tree: Tree, table: str) -> tuple[str, Tree, str]:
    """The kind of a source.

    Args:
        tree: the files.
        table: ``data.table``.

    Returns:
        Name of the kind, the tree as it should be read, and the kind's detail.

    Raises:
        DataError: several kinds fit, with the setting that chooses each; or none does.
    """
    found = {name: why for name, why in _readings(tree, table).items() if why}
    for name in _UNMISTAKABLE:
        if name in found:
            return name, tree, ""
    if len(found) == 1:
        name = next(iter(found))
        detail = found[name] if name == "torchvision" else ""
        return name, tree, detail
    if found:
        ways = "".join(
            f"\n  {why}: data.source: {name}{f':{why}' if name == 'torchvision' else ''}"
            for name, why in found.items()
        )
        raise DataError(
            f"data.source: {tree.shown()} can be read in {len(found)} ways; say which:{ways}"
        )
    raise DataError(_why_nothing(tree))


def _readings(tree: Tree, table: str) -> dict[str, str]:
    """Why each kind fits; split folders beside others are a question of two kinds."""
    return {
        name: source.recognise(tree, table)
        for name, source in SOURCES.items()
        if source.fits(tree.sought)
    }


def _why_nothing(tree: Tree) -> str:
    if question := several_archives(tree):
        return question
    sought = tree.sought
    if sought.names.parts:
        return f"{tree.shown()} holds no table with {sought.names.plural}{faults_of_tables(tree)}"
    if not sought.is_class:
        return (
            f"{tree.shown()} holds no table with a column {sought.names.columns[0]} and "
            f"{sought.target.kind}. Class folders say one class for each {sought.noun}; "
            f"{sought.target.kind} stand in columns, named in "
            f"data.targets.columns{faults_of_tables(tree)}"
        )
    wanted = (
        f"Layout: {tree.shown(f'<class>/<{sought.noun}>')} or "
        f"{tree.shown(f'train/<class>/<{sought.noun}>')}; others are in docs/usage.md"
    )
    folders = tree.top_folders()
    if folders and all(split_of(name) for name in folders):
        return (
            f"data.source: {tree.shown()} has the folders {listed(split_folders(tree))} and no "
            f"class folders in train. If these are splits, put the {sought.names.plural} into "
            f"{tree.shown('train/<class>/')} or a metadata.csv with file_name and label beside "
            "them; if they are classes: data.source: folder"
        )
    loose = [name for name in tree.names() if is_example_name(name, sought.names)]
    if loose and len(folders) < 2:
        plural = sought.names.plural
        one = f"one class ({folders[0]!r})" if folders else f"{plural} without classes"
        return (
            f"{tree.shown()} holds {one}; classification needs at least two. Put them into class "
            f"folders, or name them in a table with the columns {sought.names.columns[0]} and "
            f"label. {wanted}"
        )
    return f"{tree.shown()} holds no class with a {sought.noun}. {wanted}"
