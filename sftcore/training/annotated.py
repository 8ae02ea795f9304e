"""The annotated pictures of a store, and what is annotated on them, changed as one."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import normalize, rows_of
from sftcore.data.pictures.annotated import BACKGROUND, NO_BOX
from sftcore.data.pictures.augment import AugmentationSettings, draw_erasing, epoch_uniforms, erase
from sftcore.data.pictures.colour import recolour, recolour_by_policy
from sftcore.data.pictures.copy_paste import (
    PASTED_PURPOSE,
    draw_objects,
    draw_partners,
    find_objects,
    paste,
)
from sftcore.data.pictures.placement import random_views
from sftcore.data.pictures.scenes import Scenes
from sftcore.data.store import Store
from sftcore.foundations.boxes import Boxes, pack_boxes
from sftcore.training.views import Pictures, View


@dataclass(frozen=True)
class AnnotatedPictures:
    """Pictures with masks or boxes; see :class:`sftcore.training.views.Examples`.

    Attributes:
        pictures: how they are made ready.
        targets: of the store, masks [N, S, S] or boxes [N, M, 6].
        names: of the classes.
        latest: the scenes that were made last, and what of.
    """

    pictures: Pictures
    targets: np.ndarray
    names: tuple[str, ...]
    latest: dict[tuple[object, ...], Scenes] = field(default_factory=dict, compare=False)

    own_targets = None

    def view(
        self, augmentation: AugmentationSettings, rows: np.ndarray, seed: int, epoch: int
    ) -> View:
        """See :class:`sftcore.training.views.Examples`; ``rows`` lend each other objects."""
        return View(augmentation, seed, epoch, pool=rows)

    def largest(self, rows: np.ndarray) -> int:
        """Any: all pictures have one size."""
        return int(rows[0])

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """As they are: all pictures have one size."""
        return rows

    def not_seen(self, rows: np.ndarray) -> str:
        """Nothing: a picture is seen whole."""
        return ""

    def read(self, rows: np.ndarray, view: View) -> Tensor:
        """Normalised pictures [B, 3, S, S] of some drawn rows, as the view has them."""
        if not view.key:
            return self.pictures.read(rows, view)
        images = self._scenes(rows, view).images
        device, mean, std = self.pictures.device, self.pictures.mean, self.pictures.std
        return normalize(images.to(device, memory_format=torch.channels_last), mean, std)

    def moved_targets(self, rows: np.ndarray, view: View) -> Tensor | None:
        """Masks [B, S, S] or boxes [B, M, 6] as the view has them; None where it is plain."""
        if not view.key:
            return None
        scenes = self._scenes(rows, view)
        if scenes.masks is not None and self._has_masks:
            return scenes.masks.to(self.pictures.device)
        assert scenes.boxes is not None
        return _padded(scenes.boxes, len(self.names)).to(self.pictures.device)

    @property
    def _has_masks(self) -> bool:
        return self.targets.dtype == np.uint8

    def _scenes(self, rows: np.ndarray, view: View) -> Scenes:
        """Changed scenes, kept until others are asked for: first come pictures, then targets."""
        key = (rows.tobytes(), *view.key)
        if key not in self.latest:
            self.latest.clear()
            self.latest[key] = self._changed(rows, view)
        return self.latest[key]

    def _changed(self, rows: np.ndarray, view: View) -> Scenes:
        """Moved, with objects of others laid on them, recoloured, and erased in part."""
        how, seed, epoch = view.augmentation, view.seed, view.epoch
        background = torch.tensor(self.pictures.background) / 255
        scenes = random_views(
            self._plain(rows_of(rows), with_objects=how.copy_paste > 0),
            rows, how.strength, background, seed, epoch,
        )  # fmt: skip
        if how.copy_paste > 0 and view.pool is not None:
            partners = draw_partners(rows, view.pool, how.copy_paste, seed, epoch)
            others = random_views(
                self._plain(partners, with_objects=True), rows, how.strength, background, seed,
                epoch, purpose=PASTED_PURPOSE,
            )  # fmt: skip
            assert others.boxes is not None
            counts = others.boxes.counts.numpy()
            chosen = draw_objects(rows, partners, counts, seed, epoch)
            scenes = paste(scenes, others, torch.from_numpy(chosen))
        return replace(scenes, images=self._recoloured(scenes.images, rows, view))

    def _recoloured(self, images: Tensor, rows: np.ndarray, view: View) -> Tensor:
        how = view.augmentation
        if how.strength > 0 and how.policy == "basic":
            uniforms = torch.from_numpy(epoch_uniforms(rows, view.seed, view.epoch))
            images = recolour(images, uniforms, how.strength)
        elif how.strength > 0:
            whole = (images * 255).round().to(torch.uint8)
            images = recolour_by_policy(whole, rows, how, view.seed, view.epoch).float() / 255
        if how.erasing > 0:
            boxes = draw_erasing(rows, images.shape[-1], how.erasing, view.seed, view.epoch)
            colour = images.new_tensor(self.pictures.mean)
            images = erase(images, torch.from_numpy(boxes), colour)
        return images

    def _plain(self, rows: np.ndarray, *, with_objects: bool) -> Scenes:
        """Scenes as they are stored, on the CPU, in [0, 1]."""
        stored = torch.from_numpy(np.ascontiguousarray(self.pictures.images[rows]))
        images = stored.permute(0, 3, 1, 2).float() / 255
        targets = np.asarray(self.targets[rows])
        if not self._has_masks:
            return Scenes(images, boxes=_ragged(targets, len(self.names)))
        masks = torch.from_numpy(np.ascontiguousarray(targets))
        if not with_objects:
            return Scenes(images, masks)
        classes = [k for k, name in enumerate(self.names) if name != BACKGROUND]
        objects, boxes = find_objects(targets, classes)
        return Scenes(images, masks, boxes, objects)


def annotated_pictures(store: Store, pictures: Pictures) -> AnnotatedPictures:
    """The pictures of a store of masks or boxes."""
    return AnnotatedPictures(pictures, store.targets, tuple(store.names))


def _ragged(boxes: np.ndarray, num_classes: int) -> Boxes:
    """Boxes [B, M, 6] as one ragged value; a crowd's class is counted on behind the others."""
    rows = [of[of[:, 4] >= 0] for of in torch.from_numpy(boxes)]
    classes = [of[:, 4] + num_classes * of[:, 5] for of in rows]
    return pack_boxes([of[:, :4] for of in rows], classes)


def _padded(boxes: Boxes, num_classes: int) -> Tensor:
    """The way back, [B, M, 6], M the most boxes of these pictures and at least 1."""
    most = max(1, int(boxes.counts.max()))
    padded = torch.from_numpy(NO_BOX).repeat(len(boxes), most, 1)
    place = torch.arange(len(boxes.corners)) - boxes.offsets[:-1][boxes.pictures]
    is_crowd = boxes.classes >= num_classes
    numbers = torch.stack([boxes.classes % num_classes, is_crowd], dim=1).float()
    padded[boxes.pictures, place] = torch.cat([boxes.corners, numbers], dim=1)
    return padded
