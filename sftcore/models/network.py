"""The network that is fine-tuned: a backbone in blocks, and a head, a new one or its own."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sftcore.models.backbones import Backbone
from sftcore.models.dense.heads import (
    DenseHead,
    DenseSettings,
    drop_unused,
    segments_of,
    wanted_strides,
)
from sftcore.models.dense.taps import find_taps
from sftcore.models.dense.whole import sized
from sftcore.models.depth import find_depth
from sftcore.models.head import Head
from sftcore.models.lora import LoraSettings, add_adapters, merged, with_adapters
from sftcore.models.packaged import State
from sftcore.models.segments import Segment, split_segments
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.values import Values, asked_of
from sftcore.models.weights import with_versions


class Network(nn.Module):
    """A backbone and a head.

    Positions are those of blocks, which are about parameters: blocks before the first trained one
    are frozen. A network is entered at the last place before this block that it can be entered at;
    a backbone without such places is entered with pictures, unless all of it is frozen.

    Attributes:
        backbone: the pretrained part.
        head: the part for this task's classes.
        strides: of the maps that the head takes; empty where it takes features.
        has_new_head: whether the head is this task's; else it came with the backbone.
        source_head: the classifier that the weights came with, where Co-Tuning trains it on.
        blocks: names, first to last; ``len(blocks)`` as a position means "only the head".
        segments: the backbone as a sequence of what can be computed by itself.
        held: modules that stay in evaluation mode whatever mode the network is in.
        recomputes: whether activations are computed anew on the way back (Chen et al., 2016).
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        dropout: float,
        dense: DenseSettings | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone.module
        self.has_new_head = backbone.head is None
        self.strides: tuple[int, ...] = ()
        self._side = 0
        self.head: Any
        if dense is None:
            self.head = backbone.head or Head(backbone.num_features, num_classes, dropout)
        else:
            self.strides, self._side = wanted_strides(dense), backbone.image_size
            taps = find_taps(self.backbone, self.strides, self._side)
            drop_unused(self.backbone, taps, self._side)
            self.head = DenseHead(dense, taps.channels, num_classes, dropout)
        self.source_head: nn.Linear | None = None
        self.held: tuple[nn.Module, ...] = ()
        self.recomputes = False
        self._look_at_the_backbone()

    def _look_at_the_backbone(self) -> None:
        if self.strides:
            self.segments = segments_of(find_taps(self.backbone, self.strides, self._side))
        else:
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
        token comes next gives a row for each place that is wanted: [T, C]. Heads on maps give what
        :mod:`sftcore.models.dense.segmentation` and :mod:`sftcore.models.dense.detection` say.
        """
        return self.head(self.features(inputs, first_block))

    def features(self, inputs: Values, first_block: int = 0) -> Any:
        """What the head takes, [B, D], [T, D] or maps, of what block ``first_block`` takes."""
        found = asked_of(self.run_blocks(inputs, first_block, len(self.blocks)))
        return sized(found, self.strides) if self.strides else found

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
        twin.recomputes, twin.strides, twin._side = False, self.strides, self._side
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
