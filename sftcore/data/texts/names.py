"""What words and names say about texts."""

from sftcore.data.file_names import OTHER_SUFFIXES, PICTURE_SUFFIXES, TEXT_SUFFIXES
from sftcore.data.kinds import Names

TEXT_NAMES = Names(
    noun="text",
    sameness="characters",
    suffixes=TEXT_SUFFIXES,
    others=PICTURE_SUFFIXES | OTHER_SUFFIXES,
    columns=(
        "text", "sentence", "content", "document", "body", "message", "review", "comment",
        "utterance",
    ),
    paths=("path", "file_name", "filename", "file", "text_path"),
    is_cell=True,
)  # fmt: skip
