"""Generator checkpoints: the weights as safetensors, and a card about them as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from torch import Tensor

from mersynth import config
from mersynth.card import read_card, read_weights, write_card
from mersynth.disk.files import read_tensors
from mersynth.disk.json_files import converted
from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.forms import MOTION, PAINT, AnyGenerator, make_generator

CARD = "generator.json"
SHIPPED = Path(__file__).parents[1] / "checkpoints" / "phantom"
SHIPPED_NAME = "shipped"
"""Name of the package's generator for ``generate --checkpoint``."""


Subject = Annotated[str, Meta(pattern="^[^/]+/[^/]+$")]
"""Id of a subject, ``source/subject``."""


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, or made for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCard:
    """The contents of ``generator.json``, which describes the weights beside it.

    Attributes:
        image_size: side in pixels of the generated images or, for a generator of faces of any size
            (:attr:`any_size`), its working size.
        aus: AU numbers of the condition, in order.
        generator: arguments of :func:`mersynth.gan.forms.make_generator`.
        training_subjects: ids of the subjects whose frames were trained on.
        unseen_subjects: ids of the subjects of the same stores that were held out.
        groups: number of generators trained together, each without one group of subjects.
        seed: seed of the training.
        step: generator steps done.
        config: the whole resolved configuration.
        framing: where faces lie in the images that it was trained on; None: not known, or several.
        phantom: version of the phantom that it learned from; None: it learned from other faces.
        gains: factors on each AU's change (:mod:`mersynth.gan.calibration`); None: not measured,
            and not applied.
        weights: file name of the weights.
        sha256: SHA-256 of that file.
    """

    image_size: Annotated[int, Meta(ge=1)]
    aus: tuple[int, ...]
    generator: dict[str, bool | int | float | str]
    training_subjects: tuple[Subject, ...]
    unseen_subjects: tuple[Subject, ...]
    groups: Annotated[int, Meta(ge=1, le=100_000)]
    seed: Annotated[int, Meta(ge=0)]
    step: Annotated[int, Meta(ge=0)]
    config: dict[str, Any]
    framing: Framing | None = HEAD
    phantom: Annotated[int, Meta(ge=1)] | None = None
    gains: tuple[Annotated[float, Meta(gt=0, le=100)], ...] | None = None
    weights: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        many = len(self.aus)
        if not isinstance(self.config.get("steps", 0), int):
            raise ValueError(f"config.steps must be a whole number, got {self.config['steps']!r}")
        if self.generator.get("num_aus", many) != many:
            raise ValueError(f"generator.num_aus is {self.generator['num_aus']!r} for {many} AUs")
        if self.gains is not None and len(self.gains) != many:
            raise ValueError(f"there are {len(self.gains)} gains for {many} AUs")
        gan = {"image_size": self.image_size, "generator": self.generator}
        if wrong := config.out_of_range("train", {"gan": gan}):
            raise ValueError(wrong)

    @property
    def any_size(self) -> bool:
        """Whether it moves frames of any size."""
        return bool(self.generator.get("form", PAINT) == MOTION)

    @property
    def unfinished(self) -> str | None:
        """Progress of an unfinished training, for instance ``"400 of 6000 steps"``; else None."""
        steps = self.config.get("steps", 0)
        return f"{self.step} of {steps} steps" if self.step < steps else None


def save_generator(folder: Path, state: Mapping[str, Tensor], card: CheckpointCard) -> None:
    """Write the weights, then the card, so that it always names a complete file.

    Args:
        folder: the checkpoint's folder, created if missing.
        state: state dict of the generator; stored in half precision, since rounding errors of 2^-11
            are far below the resolution of 8-bit frames.
        card: facts to store; ``weights`` and ``sha256`` are filled in here.
    """
    name = f"generator-{card.step:06d}.safetensors"
    half = {k: v.detach().half() for k, v in state.items()}
    write_card(folder / CARD, name, half, asdict(card))
    for old in folder.glob("generator-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_card(folder: Path) -> CheckpointCard:
    """Read the card of a checkpoint.

    Raises:
        CheckpointError: if there is none, or it cannot be read.
    """
    path = folder / CARD
    if not path.exists():
        raise CheckpointError(f"no generator at {folder} (no {CARD}); `mersynth train` makes one")
    try:
        values = read_card(path)
        card = converted(values, CheckpointCard)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); train the generator again") from error
    if "phantom" not in values and all(n.startswith("phantom/") for n in card.training_subjects):
        return replace(card, phantom=1)  # older cards name no version
    return card


def load_generator(
    folder: Path, image_size: int | None = None, aus: Sequence[int] = CONDITION_AUS
) -> tuple[AnyGenerator, CheckpointCard]:
    """Load a generator, in float32 and evaluation mode.

    Args:
        folder: the checkpoint's folder.
        image_size: required side of the images; None: any.
        aus: required AU numbers of the condition.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged, or of another size or AU list.
    """
    card = load_card(folder)
    if image_size not in (None, card.image_size) and not card.any_size:
        raise CheckpointError(
            f"the generator in {folder} makes images of {card.image_size} pixels, the store's "
            f"frames have {image_size}; prepare the store with --image-size {card.image_size}, "
            "or train a generator on this store"
        )
    if tuple(aus) != card.aus:
        raise CheckpointError(
            f"the generator in {folder} was trained for AUs {list(card.aus)}, not {list(aus)}; "
            "train it again"
        )
    try:
        tensors = read_weights(folder / CARD, asdict(card))
    except ValueError as error:
        raise CheckpointError(f"{error}; train it again") from error
    try:
        generator = make_generator(card.image_size, **_options(card))
    except TypeError as error:
        raise CheckpointError(
            f"{folder / CARD}: the generator's options {card.generator} are not those of this "
            "version; train it again, or install the version that wrote it"
        ) from error
    try:
        generator.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder / card.weights} does not fit the sizes in {CARD} ({error}); train it again"
        ) from error
    return generator.eval(), card


def _options(card: CheckpointCard) -> dict[str, Any]:
    """Arguments of the generator; older cards write 0 for the form without motion."""
    if "form" in card.generator or card.generator.get("motion"):
        return card.generator
    return {name: value for name, value in card.generator.items() if name != "motion"}


def find_groups(folder: Path) -> list[Path]:
    """Folders of the generators under a checkpoint: itself, or its ``group_*`` in order.

    Raises:
        CheckpointError: if there is none, or some of a checkpoint's groups are missing.
    """
    if (folder / CARD).exists():
        return [folder]
    groups = sorted(
        (path.parent for path in folder.glob(f"group_*/{CARD}")),
        key=lambda path: int(path.name.removeprefix("group_")),
    )
    if not groups and any(folder.glob("group_*")):
        raise CheckpointError(
            f"{folder} has none of its generators yet; finish the training with "
            "`mersynth train --resume` and its original options"
        )
    wanted = load_card(groups[0] if groups else folder).groups
    if len(groups) != wanted:
        raise CheckpointError(
            f"{folder} holds {len(groups)} of {wanted} generators; finish the training with "
            "`mersynth train --resume` and its original options"
        )
    return groups


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file of weights; see :func:`mersynth.disk.files.read_tensors`.

    Raises:
        CheckpointError: if the file is missing or holds no tensors.
    """
    try:
        return read_tensors(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
