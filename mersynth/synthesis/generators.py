"""What lets a face follow an AU curve: AU-ICGAN, and the interface that others share with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mersynth.dataset import to_float
from mersynth.face.template import HEAD, Framing
from mersynth.gan.checkpoint import load_card, load_generator
from mersynth.gan.generator import Generator
from mersynth.store import StoredClip


class ClipGenerator(ABC):
    """Makes clips of faces and AU curves. What it is made of is known before it is loaded.

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
        """What a store's header says of it."""
        return {
            "sha256": self.sha256,
            "training_subjects": list(self.training_subjects),
            "unseen_subjects": list(self.unseen_subjects),
        }

    @abstractmethod
    def load(self, image_size: int, device: torch.device, framing: Framing = HEAD) -> None:
        """Make ready to animate faces of a size and framing on a device."""

    @abstractmethod
    def animate(self, faces: Sequence[StoredClip], curves: np.ndarray) -> Tensor:
        """Let the first frame of each clip follow an AU curve.

        Args:
            faces: B clips.
            curves: (B, K, 20, 2) intensities in [0, 1], left and right, of which the first is the
                face's own.

        Returns:
            (B, K, 3, H, W) in [0, 1].
        """

    @abstractmethod
    def mask(self, face: StoredClip, curve: np.ndarray, frame: int) -> Tensor:
        """(H, W) in [0, 1]: where a frame of a curve (K, 20, 2) keeps the face as it is.

        1 where a pixel stays as it is, 0 where it is painted anew, or moved farthest.
        """


class IcganGenerator(ClipGenerator):
    """AU-ICGAN's generator, without what it repaints of a face at rest.

    A generator never gives a face back exactly as it was, so that the paper's sequence

        I_out = [G(I_in | Y_1), ..., G(I_in | Y_K)]

    begins with a face that differs from the input. As Y_1 are the face's own intensities, that
    difference is no expression, and it is taken out of every frame:

        I_k = I_in + G(I_in | Y_k) - G(I_in | Y_1).

    Args:
        folder: its checkpoint.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """

    name = "icgan"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = load_card(folder)
        self.sha256, self.image_size = self.card.sha256, self.card.image_size
        self.framing, self.phantom = self.card.framing, self.card.phantom
        self.training_subjects = self.card.training_subjects
        self.unseen_subjects = self.card.unseen_subjects

    def facts(self) -> dict[str, Any]:
        """Its checksum, steps, and the subjects that it saw and did not see."""
        return {**super().facts(), "step": self.card.step}

    def load(self, image_size: int, device: torch.device, framing: Framing = HEAD) -> None:
        """Load the weights.

        Raises:
            CheckpointError: if they are damaged, or made for another size.
        """
        self._device = device
        self._generator: Generator = load_generator(self.folder, image_size)[0].to(device)

    @torch.inference_mode()
    def animate(self, faces: Sequence[StoredClip], curves: np.ndarray) -> Tensor:
        """See :meth:`ClipGenerator.animate`."""
        images = to_float(np.stack([face.frames[0] for face in faces])).to(self._device)
        images = images[:, None].expand(-1, curves.shape[1], -1, -1, -1).flatten(0, 1)
        wanted = torch.from_numpy(curves).to(self._device)
        own = wanted[:, :1].expand_as(wanted)
        made = self._generator(images, wanted.flatten(0, 1), own.flatten(0, 1)).image
        made, images = (pictures.unflatten(0, curves.shape[:2]) for pictures in (made, images))
        return (images + made - made[:, :1]).clamp(0, 1)

    @torch.inference_mode()
    def mask(self, face: StoredClip, curve: np.ndarray, frame: int) -> Tensor:
        """The attention mask, of a motion head times what is left where it moves."""
        image = to_float(face.frames[0])[None].to(self._device)
        wanted, own = (torch.from_numpy(curve[i : i + 1]).to(self._device) for i in (frame, 0))
        made = self._generator(image, wanted, own)
        return (
            made.mask[0, 0] if made.motion is None else made.mask[0, 0] * stillness(made.motion[0])
        )


def stillness(motion: Tensor) -> Tensor:
    """(H, W): 1 less the length of a motion (2, H, W), relative to the longest."""
    length = motion.norm(dim=0)
    return 1 - length / length.max().clamp(min=1e-6)
