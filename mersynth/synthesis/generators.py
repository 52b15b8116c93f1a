"""The interface of generators of clips, and AU-ICGAN as one of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.face.template import HEAD, Framing
from mersynth.gan.checkpoint import load_card, load_generator
from mersynth.gan.generator import Generated
from mersynth.gan.motion_generator import Fields, MotionGenerator
from mersynth.motion.flow import magnitude
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float

_FACES = 256  # whose fields are kept, two megabytes each


class Shown(NamedTuple):
    """A face at one moment of a curve.

    Attributes:
        image: (3, H, W) in [0, 1].
        mask: (H, W) in [0, 1]: 1 where a pixel does not change, 0 where it is replaced by paint, or
            moved farthest.
    """

    image: Tensor
    mask: Tensor


class ClipGenerator(ABC):
    """Makes clips from faces and AU curves. Its attributes are known before it is loaded.

    Attributes:
        name: as ``generate --generator`` takes it.
        sha256: checksum of what determines its clips.
        image_size: side of the frames that it makes, in pixels; None for any.
        framing: where it expects faces to lie; None for anywhere.
        phantom: version of the phantom that it learned from; None: other faces, or none.
        training_subjects: ids of the subjects that it was trained on.
        unseen_subjects: ids of the subjects that were held out of its training on purpose.
    """

    name: ClassVar[str]
    sha256: str
    image_size: int | None
    framing: Framing | None
    phantom: int | None
    training_subjects: tuple[str, ...]
    unseen_subjects: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """The facts about it for a store's header."""
        return {
            "sha256": self.sha256,
            "training_subjects": list(self.training_subjects),
            "unseen_subjects": list(self.unseen_subjects),
        }

    @abstractmethod
    def load(self, image_size: int, device: torch.device, framing: Framing = HEAD) -> None:
        """Prepare to animate faces of a size and framing on a device."""

    @abstractmethod
    def animate(self, faces: Sequence[StoredClip], curves: np.ndarray) -> Tensor:
        """Animate the first frame of each clip by an AU curve.

        Args:
            faces: B clips.
            curves: (B, K, 20, 2) intensities in [0, 1], left and right, of which the first is the
                face's own.

        Returns:
            (B, K, 3, H, W) in [0, 1].
        """

    @abstractmethod
    def show(self, face: StoredClip, curve: np.ndarray, frame: int) -> Shown:
        """One frame of a curve (K, 20, 2), and where it keeps the face."""


class IcganGenerator(ClipGenerator):
    """AU-ICGAN's generator: the paper's sequence I_out = [G(I_in | Y_1), ..., G(I_in | Y_K)].

    Y_1 are the face's own intensities, for which the form with motion returns the face unchanged.
    The form that only paints never does; this difference, which is not an expression, is subtracted
    from every frame:

        I_k = I_in + G(I_in | Y_k) - G(I_in | Y_1).

    Changes of AUs are multiplied by the gains measured after training.

    Args:
        folder: its checkpoint.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """

    name = "icgan"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = load_card(folder)
        self.sha256 = self.card.sha256
        self.image_size = None if self.card.any_size else self.card.image_size
        self.framing, self.phantom = self.card.framing, self.card.phantom
        self.training_subjects = self.card.training_subjects
        self.unseen_subjects = self.card.unseen_subjects
        self._studied: OrderedDict[bytes, Fields] = OrderedDict()

    def facts(self) -> dict[str, Any]:
        """Its checksum, steps, and the subjects that it saw and did not see."""
        return {**super().facts(), "step": self.card.step}

    def load(self, image_size: int, device: torch.device, framing: Framing = HEAD) -> None:
        """Load the weights.

        Raises:
            CheckpointError: if they are damaged, or made for another size.
        """
        self._device = device
        self._generator = load_generator(self.folder, image_size)[0].to(device)
        self._studied.clear()

    @torch.inference_mode()
    def animate(self, faces: Sequence[StoredClip], curves: np.ndarray) -> Tensor:
        """See :meth:`ClipGenerator.animate`."""
        # One at a time, so that a clip's bytes do not depend on its batch, and it fits the cache.
        return torch.stack([self._animate(f, c) for f, c in zip(faces, curves, strict=True)])

    def _animate(self, face: StoredClip, curve: np.ndarray) -> Tensor:
        return _moved(*self._made(face, curve))

    def _made(self, face: StoredClip, curve: np.ndarray) -> tuple[Tensor, Generated]:
        """The face (1, 3, H, W), and the generator's output along a curve."""
        image = to_float(face.frames[0])[None].to(self._device)
        wanted = torch.from_numpy(curve).to(self._device)
        own = wanted[:1].expand_as(wanted)
        if self.card.gains is not None:
            wanted = own + (wanted - own) * wanted.new_tensor(self.card.gains)[:, None]
        if isinstance(self._generator, MotionGenerator):
            change = (wanted - own)[None]
            return image, self._generator.move(image, self._study(face, image), change)
        return image, self._generator(image, wanted, own)

    def _study(self, face: StoredClip, image: Tensor) -> Fields:
        """The face's fields, computed once for as many faces as a database has."""
        assert isinstance(self._generator, MotionGenerator)
        key = hashlib.sha256(face.frames[0].tobytes()).digest()
        if key not in self._studied:
            self._studied[key] = self._generator.study(image)
        self._studied.move_to_end(key)
        if len(self._studied) > _FACES:
            self._studied.popitem(last=False)
        return self._studied[key]

    @torch.inference_mode()
    def show(self, face: StoredClip, curve: np.ndarray, frame: int) -> Shown:
        """The mask is the attention mask, times :func:`stillness` for the form with motion."""
        image, made = self._made(face, curve[[0, frame]])
        mask = made.mask[1] if made.motion is None else made.mask[1] * stillness(made.motion[1])
        grown = F.interpolate(mask[None], image.shape[-2:], mode="bilinear", align_corners=False)
        return Shown(_moved(image, made)[1], grown[0, 0])


def _moved(image: Tensor, made: Generated) -> Tensor:
    """(K, 3, H, W): the frames that the generator's output along a curve stands for."""
    if made.motion is not None:
        return made.image
    return (image + made.image - made.image[:1]).clamp(0, 1)


def stillness(motion: Tensor) -> Tensor:
    """(H, W): 1 minus the length of a motion (2, H, W), relative to the longest."""
    length = magnitude(motion[None])[0, 0]
    return 1 - length / length.max().clamp(min=1e-6)
