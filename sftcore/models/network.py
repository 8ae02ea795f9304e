"""The network that is fine-tuned: a backbone in blocks, and a head, a new one or its own."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sftcore.foundations.errors import WeightsError
from sftcore.foundations.randomness import seed_global
from sftcore.models.backbones import Backbone, build_backbone
from sftcore.models.depth import find_depth
from sftcore.models.head import Head
from sftcore.models.lora import LoraSettings, add_adapters, merged, with_adapters
from sftcore.models.packaged import State, WeightsRecord
from sftcore.models.segments import Segment, split_segments
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.files import is_text
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.start import start_encoder
from sftcore.models.values import Values, asked_of
from sftcore.models.weights import load_weights, with_versions


class Network(nn.Module):
    """A backbone and a head.

    Positions are those of blocks, which are about parameters: blocks before the first trained one
    are frozen. A network is entered at the last place before this block that it can be entered at;
    a backbone without such places is entered with pictures, unless all of it is frozen.

    Attributes:
        backbone: the pretrained part.
        head: the part for this task's classes.
        has_new_head: whether the head is this task's; else it came with the backbone.
        source_head: the classifier that the weights came with, where Co-Tuning trains it on.
        blocks: names, first to last; ``len(blocks)`` as a position means "only the head".
        segments: the backbone as a sequence of what can be computed by itself.
        held: modules that stay in evaluation mode whatever mode the network is in.
        recomputes: whether activations are computed anew on the way back (Chen et al., 2016).
    """

    def __init__(self, backbone: Backbone, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone.module
        self.has_new_head = backbone.head is None
        self.head: Any = backbone.head or Head(backbone.num_features, num_classes, dropout)
        self.source_head: nn.Linear | None = None
        self.held: tuple[nn.Module, ...] = ()
        self.recomputes = False
        self._look_at_the_backbone()

    def _look_at_the_backbone(self) -> None:
        self.segments = split_segments(self.backbone)
        self._depth = find_depth(self.backbone, self.segments)
        self.blocks = self._depth.names
        places = self._depth.positions
        last = [
            max((place for name, place in places.items() if segment.owns(name)), default=0)
            for segment in self.segments
        ]
        self._last_blocks = [max(last[: index + 1]) for index in range(len(last))]

    def hold_in_evaluation(self, modules: Iterable[nn.Module]) -> None:
        """Let these modules and all inside them stay in evaluation mode from now on; no others."""
        self.held = tuple({id(m): m for module in modules for m in module.modules()}.values())

    def frozen_modules(self, first_block: int) -> Iterator[nn.Module]:
        """Modules that compute the same whatever is learnt in the blocks from ``first_block`` on.

        They own parameters or buffers of blocks before it and no others, or are entered behind.
        """
        done = self.segments[: self.entry(first_block)]
        for name, module in self.backbone.named_modules():
            last = self._depth.last.get(name, first_block)
            if last < first_block or any(segment.owns(name) for segment in done):
                yield module

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode, for all modules but those that are held."""
        super().train(mode)
        for module in self.held:
            module.training = False
        return self

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take in tensors by name, whoever has kept them, with LoRA's products apart or merged."""
        taken = with_adapters(self, state_dict)
        return super().load_state_dict(with_versions(self, taken), strict, assign)

    def adapt(self, settings: LoraSettings, first_block: int, seed: int) -> None:
        """Let the linear maps of the blocks from ``first_block`` on learn by LoRA alone.

        Args:
            settings: with a rank of at least 1.
            first_block: that is trained.
            seed: decides the adapters' first matrices.

        Raises:
            WeightsError: these blocks have no linear map.
        """
        named = {
            name: module
            for name, module in self.backbone.named_modules()
            if f"{name}.weight" in self._depth.positions
            and self._depth.positions[f"{name}.weight"] >= first_block
        }
        add_adapters(self.backbone, named, settings, seed)
        self._look_at_the_backbone()

    @property
    def token_embedding(self) -> nn.Embedding:
        """The table of token embeddings.

        Raises:
            TypeError: the network reads no texts.
        """
        if not isinstance(self.backbone, TextEncoder):
            raise TypeError("the network reads no texts, so it has no token embeddings")
        return self.backbone.token_embedding

    def entry(self, first_block: int) -> int:
        """Number of the segments that own nothing of the blocks from ``first_block`` on."""
        return sum(last < first_block for last in self._last_blocks)

    def forward(self, inputs: Values, first_block: int = 0) -> Tensor:
        """Logits [B, C] of what block ``first_block`` takes.

        For block 0 these are pictures [B, 3, S, S] or token ids [B, L]. A head that says which
        token comes next gives a row for each place that is wanted: [T, C].
        """
        return self.head(self.features(inputs, first_block))

    def features(self, inputs: Values, first_block: int = 0) -> Tensor:
        """What the head takes, [B, D] or [T, D], of what block ``first_block`` takes."""
        return asked_of(self.run_blocks(inputs, first_block, len(self.blocks)))

    def run_blocks(self, inputs: Values, first_block: int, last_block: int) -> Any:
        """What lies between the entries of two blocks, made of ``inputs``."""
        for segment in self.segments[self.entry(first_block) : self.entry(last_block)]:
            inputs = self._through(segment, inputs)
        return inputs

    def _through(self, segment: Segment, inputs: Any) -> Any:
        if self.recomputes and torch.is_grad_enabled():
            return checkpoint(segment.forward, inputs, use_reentrant=False)
        return segment.forward(inputs)

    def block_outputs(self, inputs: Values, first_block: int) -> list[Any]:
        """What each segment from ``first_block`` on gives, as :meth:`run_blocks` computes it."""
        outputs = []
        for segment in self.segments[self.entry(first_block) :]:
            inputs = self._through(segment, inputs)
            outputs.append(inputs)
        return outputs

    def frozen_copy(self) -> "Network":
        """This network as it is now, in evaluation mode and without gradients."""
        twin = Network.__new__(Network)
        nn.Module.__init__(twin)
        # In one go, since a head may use a table that is the backbone's.
        twin.backbone, twin.head = copy.deepcopy((self.backbone, self.head))
        twin.has_new_head, twin.source_head, twin.held = self.has_new_head, None, ()
        twin.recomputes = False
        twin._look_at_the_backbone()
        return twin.requires_grad_(False).eval()

    def model_state(self) -> State:
        """The tensors of backbone and head, which are the model, LoRA's merged; not copied."""
        state = merged(self, self.state_dict())
        return {name: state[name] for name in state if not name.startswith("source_head.")}

    def block_of(self, name: str) -> int:
        """Position of the block that owns a parameter or buffer, or the last of a module's.

        The heads' position is ``len(blocks)``.
        """
        part, _, inner = name.partition(".")
        if part in ("head", "source_head"):
            return len(self.blocks)
        return self._depth.last[inner]


@dataclass(frozen=True)
class Start:
    """Where fine-tuning begins: the network with its first parameters, and their record."""

    network: Network
    record: WeightsRecord


def build_start(
    *,
    backbone: str,
    weights: str,
    num_classes: int,
    image_size: int = 0,
    dropout: float,
    seed: int,
    device: torch.device,
    stochastic_depth: float = 0.0,
    with_source_head: bool = False,
    text: TextOptions | None = None,
    goes_on: bool = False,
) -> Start:
    """Pretrained parameters in the backbone, and a random head for ``num_classes``, or its own.

    Args:
        backbone: ``torchvision/<model>`` or ``timm/<model>``, or ``transformers/<name or folder>``.
        weights: see :func:`sftcore.models.weights.load_weights`, and for texts
            :func:`sftcore.models.text.files.find_files`.
        num_classes: outputs of the head.
        image_size: side of the pictures in pixels; not looked at for texts.
        dropout: probability of zeroing a feature before the head.
        seed: decides the head, and the backbone where ``weights`` is ``none``.
        device: where the network is put.
        stochastic_depth: see :func:`sftcore.models.backbones.build_backbone`; pictures only.
        with_source_head: whether the classifier that the weights came with is kept beside;
            pictures only.
        text: how an encoder is used; texts only, and needed there.
        goes_on: whether the network says which token comes next, with the head of its weights.

    Raises:
        WeightsError: unknown backbone, weights that do not fit or lack a classifier, no residual
            branch to drop, or what is asked for is not to be had for texts.
    """
    record: WeightsRecord
    classifier: State = {}
    seed_global(seed, "initialisation", "backbone")
    if goes_on and not is_text(backbone):
        raise WeightsError(
            f"{backbone} reads pictures: choose transformers/<name or folder> of a decoder"
        )
    if is_text(backbone):
        _refuse_for_text(backbone, stochastic_depth, with_source_head)
        if text is None:
            raise ValueError(f"{backbone} needs text options")
        built, record = start_encoder(backbone, weights, text, goes_on=goes_on)
    else:
        built = build_backbone(backbone, image_size, stochastic_depth)
        record, classifier = load_weights(built, weights)
    seed_global(seed, "initialisation", "head")
    network = Network(built, num_classes, dropout)
    if with_source_head:
        network.source_head = _source_head(classifier, built, record.origin)
    if is_text(backbone):
        return Start(network.to(device), record)
    # Channels last: a training step of EfficientNet-Lite0 takes 2/3 of the time on CPU.
    return Start(network.to(device, memory_format=torch.channels_last), record)  # type: ignore[call-overload]


def _refuse_for_text(backbone: str, stochastic_depth: float, with_source_head: bool) -> None:
    if stochastic_depth > 0:
        raise WeightsError(
            f"{backbone}: transformers' encoders have no residual branch that can be dropped as a "
            "whole: set model.stochastic_depth to 0; dropout inside the encoder is "
            "model.text.hidden_dropout"
        )
    if with_source_head:
        raise WeightsError(
            f"{backbone}: Co-Tuning needs the classifier of the source's classes, and an encoder "
            "has learnt from texts without classes: set train.features.co_tuning to 0"
        )


def _source_head(classifier: State, backbone: Backbone, origin: str) -> nn.Linear:
    """The linear layer of these tensors.

    Raises:
        WeightsError: there are none, or they are of another shape.
    """
    tensors = {name.rpartition(".")[2]: tensor for name, tensor in classifier.items()}
    weight, bias = tensors.get("weight"), tensors.get("bias")
    is_one = len(classifier) == len(tensors) == 2  # of two classifiers none is that of the features
    if (
        not is_one
        or weight is None
        or bias is None
        or weight.shape != (len(bias), backbone.num_features)
    ):
        raise WeightsError(
            f"Co-Tuning needs the classifier of the source's classes, and these weights ({origin}) "
            "hold none: set train.features.co_tuning to 0, or choose other weights"
        )
    head = nn.Linear(backbone.num_features, len(bias))
    head.load_state_dict({"weight": weight, "bias": bias})
    return head
