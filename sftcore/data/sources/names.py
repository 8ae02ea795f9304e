"""What a file's name says: whether it is no picture, and which split it belongs to."""

import re
from pathlib import PurePosixPath
from posixpath import splitext

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A closed list: what is not on it is judged by its bytes, so a picture with a strange suffix stays.
_OTHER_SUFFIXES = _words(
    ".txt .md .rst .rtf .log .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini .cfg .conf"
    " .html .htm .css .js .ts .py .ipynb .r .m .sh .bat .ps1 .c .h .cpp .java .sql .tex .bib"
    " .doc .docx .odt .xls .xlsx .ods .ppt .pptx .odp .epub"
    " .ogg .oga .opus .mp3 .wav .flac .aac .m4a .mid .midi .wma .aiff"
    " .mp4 .m4v .mkv .avi .mov .wmv .webm .ogv .mpg .mpeg .flv .3gp .srt .vtt"
    " .zip .tar .gz .tgz .xz .txz .bz2 .tbz2 .7z .rar .zst"
    " .parquet .arrow .feather .h5 .hdf5 .npy .npz .mat .pkl .pickle .pt .pth .safetensors .onnx"
    " .db .sqlite .sqlite3 .lnk .url .exe .dll .so .class .jar .torrent .part .crdownload .tmp .bak"
    " .cls .lock .md5 .sha1 .sha256 .sha512 .sig .asc .dvc .info"
)
_OTHER_NAMES = ("thumbs.db", "desktop.ini", ".ds_store")
_OTHER_STEMS = ("readme", "license", "licence", "copying", "makefile", "changelog")
_PICTURE_SUFFIXES = _words(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .dib .tif .tiff .webp .avif .heic .heif .jp2 .j2k .ppm"
    " .pgm .pbm .pnm .tga .ico .pcx .sgi .dds .apng .jxl"
)


def other_kind(name: str) -> str:
    """The suffix (or the name, where it has none) of a file that is no picture by its name.

    Returns:
        Empty for everything that may be a picture: it is judged by its bytes.
    """
    file = name.rpartition("/")[2]
    lower = file.lower()
    suffix = splitext(lower)[1]
    if lower in _OTHER_NAMES or (not suffix and lower in _OTHER_STEMS):
        return file
    return suffix if suffix in _OTHER_SUFFIXES else ""


def is_picture_name(name: str) -> bool:
    """Whether a name ends as pictures do."""
    return splitext(name)[1].lower() in _PICTURE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a part of the path is hidden, or what an archiver puts beside the files."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def split_of(name: str) -> str:
    """The split that a folder's name means, in any case; empty for other names."""
    return SPLIT_NAMES.get(name.lower(), "")


def split_of_file(name: str) -> str:
    """The split that a path names: as a word of the file's name, or else in a folder of it.

    ``train-00000-of-00002.parquet``, ``set-val-000001.tar`` and ``test/000000.tar`` do.
    """
    path = PurePosixPath(name)
    words = [*re.split(r"[-_.]", path.name), *path.parts[-2::-1]]
    return next((split_of(word) for word in words if split_of(word)), "")
