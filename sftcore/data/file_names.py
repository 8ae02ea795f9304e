"""Closed lists of suffixes: what a file's name alone says about it."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PICTURE_SUFFIXES = _words(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .dib .tif .tiff .webp .avif .heic .heif .jp2 .j2k .ppm"
    " .pgm .pbm .pnm .tga .ico .pcx .sgi .dds .apng .jxl"
)
TEXT_SUFFIXES = _words(".txt")
# Examples of no kind.
OTHER_SUFFIXES = _words(
    ".md .rst .rtf .log .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini .cfg .conf"
    " .html .htm .css .js .ts .py .ipynb .r .m .sh .bat .ps1 .c .h .cpp .java .sql .tex .bib"
    " .doc .docx .odt .xls .xlsx .ods .ppt .pptx .odp .epub"
    " .ogg .oga .opus .mp3 .wav .flac .aac .m4a .mid .midi .wma .aiff"
    " .mp4 .m4v .mkv .avi .mov .wmv .webm .ogv .mpg .mpeg .flv .3gp .srt .vtt"
    " .zip .tar .gz .tgz .xz .txz .bz2 .tbz2 .7z .rar .zst"
    " .parquet .arrow .feather .h5 .hdf5 .npy .npz .mat .pkl .pickle .pt .pth .safetensors .onnx"
    " .db .sqlite .sqlite3 .lnk .url .exe .dll .so .class .jar .torrent .part .crdownload .tmp .bak"
    " .cls .lock .md5 .sha1 .sha256 .sha512 .sig .asc .dvc .info"
)
