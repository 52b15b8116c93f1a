"""A trained generator as a module: loaded from a folder or the Hub, and used as it makes clips."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from mersynth.gan.checkpoint import (
    CARD,
    SHIPPED,
    SHIPPED_NAME,
    CheckpointCard,
    load_generator,
)
from mersynth.gan.forms import AnyGenerator
from mersynth.gan.generator import conditions_each
from mersynth.hub import fetch, model_card, save_folder

_LOAD = """from mersynth.gan.pretrained import PretrainedGenerator

generator = PretrainedGenerator.from_pretrained("FOLDER or owner/name")
generator(faces, aus)  # (B, 3, H, W) in [0, 1], (B, {num_aus}, 2) -> (B, 3, H, W)"""


class PretrainedGenerator(nn.Module):
    """A trained generator, which moves faces to AU intensities as ``mersynth generate`` does.

    Other than the plain network, it multiplies changes of AUs by the gains measured after training,
    and subtracts what the form that only paints changes without being asked to
    (:class:`mersynth.synthesis.generators.IcganGenerator`).

    Args:
        generator: the network, in evaluation mode.
        card: how it was made; :attr:`CheckpointCard.framing` says where it expects faces to lie.
        path: its folder.

    Shape:
        - faces: (B, 3, H, W) in [0, 1], aligned; of any size for a card with ``any_size``, else of
          its ``image_size``.
        - aus and own: (B M, N, 2) in [0, 1], M for each face, grouped by face; AUs as ``card.aus``,
          the subject's left and right side.
        - output: (B M, 3, H, W) in [0, 1].

    Example:
        >>> generator = PretrainedGenerator.from_pretrained("shipped")
        >>> aus = torch.zeros(1, 20, 2)
        >>> aus[:, generator.card.aus.index(12)] = 1  # a smile
        >>> generator(torch.rand(1, 3, 128, 128), aus).shape
        torch.Size([1, 3, 128, 128])
    """

    def __init__(self, generator: AnyGenerator, card: CheckpointCard, path: Path) -> None:
        super().__init__()
        self.generator, self.card, self.path = generator, card, path
        self.gains: Tensor
        gains = torch.ones(len(card.aus)) if card.gains is None else torch.tensor(card.gains)
        self.register_buffer("gains", gains[:, None], persistent=False)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> Self:
        """Load a generator, in float32 and evaluation mode.

        Args:
            name: ``"shipped"``, which comes with the package; a folder that ``mersynth train``
                wrote; or ``owner/name`` on the Hugging Face Hub.
            revision: branch, tag or commit on the Hub.

        Raises:
            CheckpointError: if the folder holds none, or it is damaged.
            HubError: if it cannot be had from the Hub.
        """
        folder = SHIPPED if str(name) == SHIPPED_NAME else fetch(name, revision)
        return cls(*load_generator(folder), folder).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Copy weights and card into a new folder, with a model card to upload them with.

        Raises:
            HubError: if the folder exists, or the weights were changed since they were loaded.
        """
        card = self.card
        facts = (
            ("AUs", ", ".join(map(str, card.aus))),
            ("image size", "any" if card.any_size else card.image_size),
            ("framing", card.framing),
            ("trained on", f"{len(card.training_subjects)} people"),
            ("held out", f"{len(card.unseen_subjects)} people"),
            ("phantom", card.phantom and f"version {card.phantom}: trained on rendered faces only"),
            ("steps", card.step),
            ("SHA-256", f"`{card.sha256}`"),
        )
        task = "AU-ICGAN (https://doi.org/10.1145/3394171.3414012): moves a face to AU intensities."
        text = model_card("Generator", task, _LOAD.format(num_aus=len(card.aus)), facts)
        save_folder(Path(folder), self.path / CARD, self.generator.state_dict(), text)

    def forward(self, faces: Tensor, aus: Tensor, own: Tensor | None = None) -> Tensor:
        """Move faces.

        Args:
            faces: the faces.
            aus: the intensities that they shall show.
            own: those that they show; None: zero.

        Raises:
            ValueError: if a shape is wrong.
        """
        each = conditions_each(self.generator.num_aus, faces, aus, own)
        shown = torch.zeros_like(aus) if own is None else own
        made = self.generator(faces, shown + (aus - shown) * self.gains, shown)
        if made.motion is not None:
            return made.image
        unmoved = self.generator(faces, shown, shown).image
        return (faces.repeat_interleave(each, 0) + made.image - unmoved).clamp(0, 1)
