"""The Debian packages that the example data come from."""

from dataclasses import dataclass
from pathlib import Path

from sftcore.foundations.errors import DataError


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian's archive.

    Attributes:
        name: as apt knows it.
        version: that the shipped files were made from.
        sha256: of that version's .deb, as Debian's list of packages gives it.
        folder: what is read of it, relative to the root that it is unpacked into.
    """

    name: str
    version: str
    sha256: str
    folder: str


WORDNET = DebianPackage(
    name="wordnet-base",
    version="1:3.0-37",
    sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    folder="usr/share/wordnet",
)
DRAWINGS = DebianPackage(
    name="openclipart-png",
    version="1:0.18+dfsg-19",
    sha256="f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    folder="usr/share/openclipart/png",
)
KEYWORDS = DebianPackage(
    name="openclipart-svg",
    version="1:0.18+dfsg-19",
    sha256="989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    folder="usr/share/openclipart/svg",
)
DICTIONARY = DebianPackage(
    name="dict-devil",
    version="1.0-13.1",
    sha256="6a535684def2a1f70cd42da16d12d43f0e9dc3e54e4a329178eebab3170e3154",
    folder="usr/share/dictd",
)
PAPERS = DebianPackage(
    name="mypaint-data-extras",
    version="2.0.1-9",
    sha256="9d5971baa5eb411309940ea2cfe11aa7f6ec2c39e7f9ecd2bbef81fc6404b1d1",
    folder="usr/share/mypaint/backgrounds/ramon",
)
SURFACES = DebianPackage(
    name="ufoai-textures",
    version="2.5-2",
    sha256="51c9c6a778249a3fa432c81c8c30ac5675ae5a1e675a33b0ce04545753d3218c",
    folder="usr/share/games/ufoai/base",
)


def find_package(package: DebianPackage, root: Path) -> Path:
    """The folder that a package unpacks into.

    Args:
        package: of Debian's archive.
        root: ``/`` where it is installed, or the folder it was unpacked into.

    Raises:
        DataError: the folder is not there.
    """
    folder = root / package.folder
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing: install Debian's {package.name} {package.version} (apt-get "
            f"install {package.name}), or unpack it (apt-get download {package.name}; dpkg -x "
            "<the file> <folder>) and name that folder with --root"
        )
    return folder
