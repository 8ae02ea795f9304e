"""Near-duplicates: what is found, what is not, and how fast.

``python -m benchmarks.near_duplicates planted|random|speed|fashion_mnist``

``planted``: changed copies of the drawings of data/clipart beside the drawings; how many are found.
``random``: pairs of different drawings that are called the same. The drawings hold true pairs (a
drawing and its colourless twin), so the ids are printed to be looked at.
``speed``: seconds to find near hashes among random ones and among such as a set of similar
pictures has.
``fashion_mnist``: all 70,000 pictures prepared by ``data.source: torchvision:FashionMNIST``; the
second argument is the folder that holds ``FashionMNIST/raw``, as torchvision lays it out.

Seeds are fixed. Prints Markdown tables; writes only below a temporary folder.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from sftcore.data.hash_pairs import near_pairs
from sftcore.data.near_duplicates import Looks, confirmed_pairs
from sftcore.data.pictures.decode import content_box, decode, fit_square
from sftcore.data.pictures.fingerprints import VARIANTS, perceptual_hashes, small_copy
from sftcore.data.pictures.same_picture import are_same
from sftcore.data.prepare import prepare
from sftcore.data.settings import DataSettings
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.pipeline.examples import examples_of
from sftcore.settings.tree import load_params
from sftcore.tasks.names import CLASSES

NUM_SEEDS = 3
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@cache
def _data() -> DataSettings:
    return load_params().data


def _scaled(factor: float) -> Change:
    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        width, height = (max(1, round(side * factor)) for side in image.size)
        return image.resize((width, height), Image.Resampling.BILINEAR)

    return change


def _compressed(quality: int) -> Change:
    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return change


def _channels_changed(image: Image.Image, stream: np.random.Generator) -> Image.Image:
    values = np.asarray(image) * stream.uniform(0.6, 1.2, 3) + stream.uniform(-30, 30, 3)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _hue_turned(degrees: int) -> Change:
    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        values = np.array(image.convert("HSV"))
        values[..., 0] += np.uint8(degrees * 256 // 360)
        return Image.fromarray(values, mode="HSV").convert("RGB")

    return change


def _cropped(part: float) -> Change:
    def change(image: Image.Image, stream: np.random.Generator) -> Image.Image:
        width, height = (side * (1 - part) for side in image.size)
        left = stream.uniform(0, image.width - width)
        top = stream.uniform(0, image.height - height)
        return image.crop((round(left), round(top), round(left + width), round(top + height)))

    return change


CHANGES: dict[str, Change] = {
    "rescaled to a half": _scaled(0.5),
    "rescaled by 1.7": _scaled(1.7),
    "recompressed, JPEG 50": _compressed(50),
    "recompressed, JPEG 20": _compressed(20),
    "recoloured: grey": lambda image, _: image.convert("L").convert("RGB"),
    "recoloured: gain and offset of each channel": _channels_changed,
    "recoloured: 60 % of the colour gone": lambda image, _: ImageEnhance.Color(image).enhance(0.4),
    "recoloured: darker by 30 %": lambda image, _: ImageEnhance.Brightness(image).enhance(0.7),
    "recoloured: hue by 30 degrees": _hue_turned(30),
    "recoloured: hue by 180 degrees": _hue_turned(180),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "cropped by 2 %": _cropped(0.02),
    "cropped by 5 %": _cropped(0.05),
    "cropped by 8 %": _cropped(0.08),
    "cropped by 15 %": _cropped(0.15),
    "mirrored and cropped by 5 %": lambda image, stream: ImageOps.mirror(
        _cropped(0.05)(image, stream)
    ),
}


def _small(image: Image.Image) -> np.ndarray:
    data = _data()
    red, green, blue = data.pictures.background
    left, top, width, height = content_box(image.size, data.pictures.image_size)
    square = fit_square(image, data.pictures.image_size, (red, green, blue))
    return small_copy(square[top : top + height, left : left + width])


def _drawings() -> tuple[list[str], list[Image.Image]]:
    data = _data()
    files = sorted(file for file in Path(data.path).glob("*/*") if file.is_file())
    red, green, blue = data.pictures.background
    images = [
        decode(
            file.read_bytes(), max_pixels=data.pictures.max_pixels, background=(red, green, blue)
        )
        for file in files
    ]
    return [str(file.as_posix()) for file in files], images


def _looks(small: np.ndarray) -> Looks:
    hashes = np.stack([perceptual_hashes(picture) for picture in small])
    return Looks(hashes, partial(are_same, small), np.arange(len(small)))


def _names(count: int) -> list[str]:
    return [sha256_bytes(str(row).encode()) for row in range(count)]


def planted(_: Path) -> None:
    """Changed copies that are found."""
    distance = _data().near_duplicate_distance
    images = _drawings()[1]
    count = len(images)
    plain = np.stack([_small(image) for image in images])
    print(f"{count} drawings, each with one copy; found by seed of the change\n")
    print("| copy | " + " | ".join(f"seed {seed}" for seed in range(NUM_SEEDS)) + " |")
    print("|---" * (NUM_SEEDS + 1) + "|")
    for name, change in CHANGES.items():
        found = []
        for seed in range(NUM_SEEDS):
            stream = np.random.default_rng(seed)
            copies = np.stack([_small(change(image, stream)) for image in images])
            looks = _looks(np.concatenate([plain, copies]))
            pairs = confirmed_pairs(looks, _names(2 * count), distance)
            # A copy whose twin shares all hashes is compared through the smallest sha256.
            found.append(int((pairs[:, 1] - pairs[:, 0] == count).sum()) / count)
        print(f"| {name} | " + " | ".join(f"{part:.1%}" for part in found) + " |", flush=True)


def random(_: Path) -> None:
    """Different drawings that are called the same."""
    distance = _data().near_duplicate_distance
    files, images = _drawings()
    looks = _looks(np.stack([_small(image) for image in images]))
    pairs = confirmed_pairs(looks, _names(len(images)), distance)
    total = len(images) * (len(images) - 1) // 2
    print(f"{len(pairs)} of {total} pairs are called the same: {len(pairs) / total:.3%}\n")
    for first, second in pairs.tolist():
        print(f"- {files[first]} and {files[second]}")


def speed(_: Path) -> None:
    """Seconds of the search for near hashes."""
    distance = _data().near_duplicate_distance
    print("| hashes | kind | seconds | of one processor | pairs found |\n|---|---|---|---|---|")
    for count in (100_000, 1_000_000):
        for kind in ("random", "similar"):
            hashes = _made_hashes(count, kind == "similar")
            started, busy = time.monotonic(), time.process_time()
            pairs = near_pairs(hashes, distance)
            seconds, busy = time.monotonic() - started, time.process_time() - busy
            print(f"| {count:,} | {kind} | {seconds:.0f} | {busy:.0f} | {len(pairs):,} |",
                  flush=True)  # fmt: skip


def _made_hashes(count: int, are_similar: bool) -> np.ndarray:
    """Hashes [N, 11, 4] of which one in ten is a copy with 5 bits changed.

    Similar ones stand around 1,000 patterns, from each of which they differ in a quarter of the
    bits, so that many chunks are shared.
    """
    stream = np.random.default_rng(0)
    words = np.iinfo(np.uint64)
    hashes = stream.integers(words.min, words.max, (count, len(VARIANTS), 4), dtype=np.uint64)
    if are_similar:
        patterns = hashes[stream.integers(0, 1000, count)]
        hashes &= stream.integers(words.min, words.max, hashes.shape, dtype=np.uint64)
        hashes ^= patterns
    copies = count // 10
    hashes[:copies] = hashes[copies : 2 * copies]
    for _ in range(5):
        bit = np.uint64(1) << stream.integers(0, 64, copies).astype(np.uint64)
        hashes[np.arange(copies), :, stream.integers(0, 4, copies)] ^= bit[:, None]
    return hashes


def fashion_mnist(folder: Path) -> None:
    """All of Fashion-MNIST through prepare."""
    data = _data()
    with tempfile.TemporaryDirectory() as temporary:
        started = time.monotonic()
        summary = prepare(
            source="torchvision:FashionMNIST",
            path=folder,
            table=data.table,
            kind=examples_of(CLASSES, data).kind,
            max_refused_fraction=data.max_refused_fraction,
            min_per_class=data.min_per_class,
            near_duplicate_distance=data.near_duplicate_distance,
            val_fraction=data.val_fraction,
            test_fraction=data.test_fraction,
            split_seed=data.split_seed,
            output=Path(temporary) / "prepared",
        )
        seconds = time.monotonic() - started
    whole = summary["num_pictures"] + summary["num_refused"]
    print("| | |\n|---|---|")
    print(
        f"| refused | {summary['num_refused']} of {whole} ({summary['num_refused'] / whole:.2%}) |"
    )
    for key in ("refused", "splits", "near_duplicates"):
        print(f"| {key} | {', '.join(f'{k} {v}' for k, v in summary[key].items())} |")
    print(f"| seconds | {seconds:.0f} |")


CHECKS = {check.__name__: check for check in (planted, random, speed, fashion_mnist)}


def main() -> None:
    """Run one check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data"))
    options = parser.parse_args()
    CHECKS[options.check](options.folder)


if __name__ == "__main__":
    main()
