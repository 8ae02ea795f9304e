"""One small annotated set, written as the tools export it; each writer returns the folder's files.

Three pictures of 40 x 30 with known boxes and pixels. Writers know nothing of the code under test.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.pictures import encode

WIDTH, HEIGHT = 40, 30
CLASSES = ("cat", "dog")
SPLITS = ("train", "train", "valid")
STEMS = ("a", "b", "c")
# Of each picture: class, and left, top, right, bottom on whole pixels.
BOXES: dict[str, list[tuple[str, tuple[int, int, int, int]]]] = {
    "a": [("cat", (0, 0, 10, 20)), ("dog", (15, 5, 40, 30))],
    "b": [("dog", (7, 3, 20, 11))],
    "c": [],
}
Files = dict[str, bytes]


def photo(seed: int, kind: str = "JPEG", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    stream = np.random.default_rng(seed)
    pixels = stream.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return encode(Image.fromarray(pixels), kind)


def raw_png(width: int, height: int, num_bits: int, pixels: bytes) -> bytes:
    """A grey PNG of compressed pixels as they are given."""
    header = struct.pack(">IIBBBBB", width, height, num_bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def class_pixels(stem: str) -> np.ndarray:
    """0 for background, 1 for cat, 2 for dog."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for name, (left, top, right, bottom) in BOXES[stem]:
        mask[top:bottom, left:right] = 1 + CLASSES.index(name)
    return mask


def coco_document(stems: tuple[str, ...], prefix: str = "") -> dict:
    """As COCO has it; ids neither start at 0 nor stand in order."""
    ids = {stem: 900 - 7 * place for place, stem in enumerate(stems)}
    categories = [{"id": 9, "name": "dog", "supercategory": ""}, {"id": 4, "name": "cat"}]
    annotations = []
    for stem in stems:
        for name, (left, top, right, bottom) in BOXES[stem]:
            box = [left, top, right - left, bottom - top]
            ring = [left, top, right, top, right, bottom, left, bottom]
            annotations.append(
                {
                    "id": 50 - len(annotations),
                    "image_id": ids[stem],
                    "category_id": 4 if name == "cat" else 9,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "segmentation": [ring],
                }
            )
    images = [
        {"id": ids[s], "file_name": f"{prefix}{s}.jpg", "width": WIDTH, "height": HEIGHT}
        for s in stems
    ]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def of_split(split: str) -> tuple[str, ...]:
    return tuple(stem for stem, own in zip(STEMS, SPLITS, strict=True) if own == split)


def coco_roboflow() -> Files:
    files: Files = {"README.roboflow.txt": b"exported"}
    for split in ("train", "valid"):
        files[f"{split}/_annotations.coco.json"] = as_json(coco_document(of_split(split)))
        files |= {f"{split}/{stem}.jpg": photo(ord(stem)) for stem in of_split(split)}
    return files


def coco_label_studio() -> Files:
    document = coco_document(STEMS, "images/")
    return {"result.json": as_json(document)} | {
        f"images/{stem}.jpg": photo(ord(stem)) for stem in STEMS
    }


def coco_cvat() -> Files:
    document = coco_document(STEMS)
    return {"annotations/instances_default.json": as_json(document)} | {
        f"images/{stem}.jpg": photo(ord(stem)) for stem in STEMS
    }


def coco_original() -> Files:
    files: Files = {"annotations/captions_train2017.json": as_json({"annotations": []})}
    for split, own in (("train", "train2017"), ("valid", "val2017")):
        document = coco_document(of_split(split))
        files[f"annotations/instances_{own}.json"] = as_json(document)
        files[f"annotations/person_keypoints_{own}.json"] = as_json(document)
        files |= {f"{own}/{stem}.jpg": photo(ord(stem)) for stem in of_split(split)}
    return files


def voc_xml(stem: str, offset: int = 1, filename: str = "") -> bytes:
    """Coordinates as Pascal VOC has them: numbers of pixels from 1, both ends belonging to it."""
    objects = "".join(
        f"<object><name>{name}</name><pose>Left</pose><truncated>0</truncated>"
        f"<difficult>0</difficult><bndbox><xmin>{x0 + offset}</xmin><ymin>{y0 + offset}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in BOXES[stem]
    )
    return (
        f"<annotation><folder>x</folder><filename>{filename or stem + '.jpg'}</filename>"
        f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>{objects}"
        "</annotation>"
    ).encode()


def voc_original() -> Files:
    files: Files = {
        "VOC2012/ImageSets/Main/train.txt": b"a\nb\n",
        "VOC2012/ImageSets/Main/val.txt": b"c\n",
        "VOC2012/ImageSets/Main/cat_train.txt": b"a  1\nb -1\n",
    }
    for stem in STEMS:
        files[f"VOC2012/Annotations/{stem}.xml"] = voc_xml(stem)
        files[f"VOC2012/JPEGImages/{stem}.jpg"] = photo(ord(stem))
    return files


def voc_roboflow() -> Files:
    files: Files = {"README.dataset.txt": b"exported"}
    for stem, split in zip(STEMS, SPLITS, strict=True):
        files[f"{split}/{stem}.xml"] = voc_xml(stem)
        files[f"{split}/{stem}.jpg"] = photo(ord(stem))
    return files


def yolo_lines(stem: str) -> bytes:
    lines = [
        f"{CLASSES.index(name)} {(x0 + x1) / 2 / WIDTH:.6f} {(y0 + y1) / 2 / HEIGHT:.6f} "
        f"{(x1 - x0) / WIDTH:.6f} {(y1 - y0) / HEIGHT:.6f}\n"
        for name, (x0, y0, x1, y1) in BOXES[stem]
    ]
    return "".join(lines).encode()


def yolo_polygons(stem: str) -> bytes:
    lines = []
    for name, (x0, y0, x1, y1) in BOXES[stem]:
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        numbers = " ".join(f"{x / WIDTH:.9f} {y / HEIGHT:.9f}" for x, y in points)
        lines.append(f"{CLASSES.index(name)} {numbers}\n")
    return "".join(lines).encode()


def yolo_roboflow(lines: Callable[[str], bytes] = yolo_lines) -> Files:
    yaml = b"train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n"
    files: Files = {"data.yaml": yaml, "README.roboflow.txt": b"exported"}
    for stem, split in zip(STEMS, SPLITS, strict=True):
        files[f"{split}/images/{stem}.jpg"] = photo(ord(stem))
        files[f"{split}/labels/{stem}.txt"] = lines(stem)
    return files


def yolo_segments() -> Files:
    return yolo_roboflow(yolo_polygons)


def yolo_label_studio() -> Files:
    files: Files = {"classes.txt": b"cat\ndog\n", "notes.json": b'{"categories": []}'}
    for stem in STEMS:
        files[f"images/{stem}.jpg"] = photo(ord(stem))
        files[f"labels/{stem}.txt"] = yolo_lines(stem)
    return files


def yolo_cvat() -> Files:
    yaml = b"names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\n"
    files: Files = {"data.yaml": yaml, "train.txt": b"images/train/a.jpg\n"}
    for stem, split in zip(STEMS, ("train", "train", "val"), strict=True):
        files[f"images/{split}/{stem}.jpg"] = photo(ord(stem))
        files[f"labels/{split}/{stem}.txt"] = yolo_lines(stem)
    return files


def yolo_darknet() -> Files:
    files: Files = {"obj.names": b"cat\ndog\n", "obj.data": b"classes = 2\n", "train.txt": b"x\n"}
    for stem in STEMS:
        files[f"obj_train_data/{stem}.jpg"] = photo(ord(stem))
        files[f"obj_train_data/{stem}.txt"] = yolo_lines(stem)
    return files


COLOURS = ((0, 0, 0), (250, 50, 83), (51, 221, 255))


def palette_png(mask: np.ndarray, colours: tuple = COLOURS) -> bytes:
    image = Image.fromarray(mask)
    image.putpalette([channel for colour in colours for channel in colour])
    return encode(image)


def colour_png(mask: np.ndarray) -> bytes:
    return encode(Image.fromarray(np.array(COLOURS, dtype=np.uint8)[mask]))


LABELMAP = (
    b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n"
)


def masks_cvat(write: Callable[[np.ndarray], bytes] = colour_png) -> Files:
    files: Files = {"labelmap.txt": LABELMAP, "ImageSets/Segmentation/train.txt": b"a\nb\n"}
    for stem in STEMS:
        files[f"JPEGImages/{stem}.jpg"] = photo(ord(stem))
        files[f"SegmentationClass/{stem}.png"] = write(class_pixels(stem))
        files[f"SegmentationObject/{stem}.png"] = colour_png(class_pixels(stem))
    return files


def masks_cvat_palette() -> Files:
    return masks_cvat(palette_png)


def masks_roboflow() -> Files:
    files: Files = {}
    for split in ("train", "valid"):
        files[f"{split}/_classes.csv"] = b"Pixel Value, Class\n0, background\n1, cat\n2, dog\n"
    for stem, split in zip(STEMS, SPLITS, strict=True):
        files[f"{split}/{stem}.jpg"] = photo(ord(stem))
        files[f"{split}/{stem}_mask.png"] = encode(Image.fromarray(class_pixels(stem)))
    return files


def masks_folders() -> Files:
    files: Files = {"classes.csv": b"name,r,g,b\nbackground,0,0,0\ncat,250,50,83\ndog,51,221,255\n"}
    for stem, split in zip(STEMS, SPLITS, strict=True):
        files[f"{split}/images/{stem}.png"] = photo(ord(stem), "PNG")
        files[f"{split}/masks/{stem}.png"] = colour_png(class_pixels(stem))
    return files


def masks_beside() -> Files:
    files: Files = {"classes.txt": b"background\ncat\ndog\n"}
    for stem in STEMS:
        files[f"{stem}.jpg"] = photo(ord(stem))
        files[f"{stem}.png"] = palette_png(class_pixels(stem))
    return files


BOX_EXPORTS: dict[str, Callable[[], Files]] = {
    "coco": coco_roboflow, "coco-label-studio": coco_label_studio, "coco-cvat": coco_cvat,
    "coco-original": coco_original, "voc": voc_original, "voc-roboflow": voc_roboflow,
    "yolo": yolo_roboflow, "yolo-segments": yolo_segments, "yolo-label-studio": yolo_label_studio,
    "yolo-cvat": yolo_cvat, "yolo-darknet": yolo_darknet,
}  # fmt: skip
MASK_EXPORTS: dict[str, Callable[[], Files]] = {
    "masks-cvat": masks_cvat, "masks-cvat-palette": masks_cvat_palette,
    "masks-roboflow": masks_roboflow, "masks-folders": masks_folders, "masks-beside": masks_beside,
}  # fmt: skip


def write(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zip_of(path: Path, files: Files) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"export/{name}" if "data.yaml" in files else name, content)
    return path
