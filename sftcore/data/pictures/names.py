"""What words and names say about pictures."""

from sftcore.data.file_names import OTHER_SUFFIXES, PICTURE_SUFFIXES, TEXT_SUFFIXES
from sftcore.data.kinds import Names

PICTURE_NAMES = Names(
    noun="picture",
    sameness="bytes",
    suffixes=PICTURE_SUFFIXES,
    others=TEXT_SUFFIXES | OTHER_SUFFIXES,
    columns=(
        "path", "image", "file_name", "filename", "file", "img", "image_path", "picture",
        "image_bytes", "bytes", "base64", "image_base64",
    ),
)  # fmt: skip
