"""A trained recognizer on disk: its weights, and the card that says how to use them.

It is a folder, which is there whole or not at all::

    models/ststnet/
        recognizer.json           the card, see RecognizerCard
        recognizer.safetensors    the model's state
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from mersynth import config
from mersynth.card import read_card, write_card
from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.disk.files import whole_folder
from mersynth.disk.json_files import converted
from mersynth.face.template import Framing
from mersynth.facs.emotions import SCHEMES
from mersynth.features.kinds import FEATURES
from mersynth.hub import model_card
from recognizers.folds.splits import Split
from recognizers.models.base import InputSpec
from recognizers.runs.files import RESULTS
from recognizers.runs.records import ChosenEpoch, Count, DataUsed, Ordinal, Record, Share
from recognizers.training.fold_work import ChannelStatistics, Weights

CARD = "recognizer.json"
WEIGHTS = "recognizer.safetensors"
_FORMAT = 2
SHIPPED = Path(__file__).parents[1] / "checkpoints"
"""Folder of the recognizers that come with the package."""
RENDERED = (
    "it was trained on rendered faces (the phantom) only, for trials and tests; its predictions "
    "for real people mean nothing"
)
"""What the card of such a recognizer notes."""
_HUB = """from recognizers.trained.recognizer import TrainedRecognizer

recognizer = TrainedRecognizer.from_pretrained("FOLDER or owner/name")
recognizer.predict_store("stores/samm").probabilities"""
AGAIN = "fit the recognizer again, or repeat the run that made it"
"""What to do about one that cannot be used."""


class RecognizerError(ValueError):
    """A trained recognizer is missing, damaged, or cannot be used for what is asked."""


class Seen(Record, frozen=True, forbid_unknown_fields=True):
    """What a training has seen of the world.

    Attributes:
        clips: number of clips.
        synthetic: how many of them a generator made.
        people: ids of those whose faces the clips show, and of those whose AU curves synthetic
            ones follow, sorted.
        generators: SHA-256 of the generators that made clips, sorted.
    """

    clips: Count
    synthetic: Count
    people: tuple[str, ...]
    generators: tuple[str, ...]

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Seen:
        """What a training on these clips has seen."""
        faces = {clip.subject_id for clip in clips}
        followed = {"/".join(clip.template.split("/")[:2]) for clip in clips if clip.template}
        generators = {clip.generator for clip in clips if clip.generator}
        synthetic = sum(clip.is_synthetic for clip in clips)
        return cls(
            len(clips), synthetic, tuple(sorted(faces | followed)), tuple(sorted(generators))
        )


class Tested(Record, frozen=True):
    """Figures of a recognizer on a store of people whom it has never seen.

    Attributes:
        path, checksum: of the store.
        phantom: version of the phantom that its faces are of; None: other faces.
        clips: their number.
        people: ids.
        accuracy, uf1, uar: each with the ends of its 95 % interval over people.
    """

    path: str
    checksum: str
    phantom: Ordinal | None
    clips: Count
    people: tuple[str, ...]
    accuracy: tuple[Share, Share, Share]
    uf1: tuple[Share, Share, Share]
    uar: tuple[Share, Share, Share]


class RecognizerCard(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``recognizer.json`` says of the weights beside it.

    Attributes:
        model: registered name of the system.
        options: of ``create_model``.
        classes: their names, in the order of the model's outputs.
        scheme: label scheme of the stores; None: it learned from feature files alone, whose arrays
            it cannot make of frames.
        inputs: the tensors that the model reads, by name.
        features: options of features, as :func:`recognizers.data.inputs.build_inputs` takes them.
        statistics: by standardised input, mean and deviation of each channel.
        training: the settings, and ``augment``.
        epoch: after which the weights are these.
        seed: of the training.
        split: ``"fit"``: all clips were learned from; else that of the run.
        fold: the run's fold; None of ``"fit"``.
        data: the stores and files.
        learned: what it learned from.
        pretrained: what the weights that it started from had seen; None: they were fresh.
        mersynth: version that wrote it.
        note: what whoever uses it must know; empty: nothing.
        tested: figures on people whom it has never seen, a store each.
        sha256: of the weights.
    """

    model: str
    options: dict[str, Any]
    classes: tuple[str, ...]
    scheme: Literal[SCHEMES] | None  # type: ignore[valid-type]
    inputs: dict[str, InputSpec]
    features: dict[str, dict[str, Any]]
    statistics: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
    training: dict[str, Any]
    epoch: ChosenEpoch
    seed: Count
    split: Split
    fold: str | None
    data: tuple[DataUsed, ...]
    learned: Seen
    pretrained: Seen | None
    mersynth: str
    note: str = ""
    tested: tuple[Tested, ...] = ()
    sha256: str = ""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(
                f"classes must be 2 or more different names, got {listed(self.classes)}"
            )
        for name, (mean, deviation) in self.statistics.items():
            count = len(self.inputs[name].channels) if name in self.inputs else None
            if not len(mean) == len(deviation) == count:
                raise ValueError(f"statistics of {name} are not a mean and a deviation per channel")
            if not all(map(math.isfinite, (*mean, *deviation))) or min(deviation) <= 0:
                raise ValueError(
                    f"statistics of {name} must be finite, deviations above 0: {mean}, {deviation}"
                )
        if unknown := set(self.features) - set(FEATURES):
            raise ValueError(f"there is no feature {listed(sorted(unknown))}")
        if wrong := config.out_of_range("evaluate", {"model": {"options": self.options}}):
            raise ValueError(wrong)

    @property
    def people(self) -> frozenset[str]:
        """Ids of all whom training and pretraining have seen."""
        before = () if self.pretrained is None else self.pretrained.people
        return frozenset((*self.learned.people, *before))

    @property
    def image_size(self) -> int | None:
        """Side of the frames of the stores, in pixels; None of feature files."""
        return next((part.image_size for part in self.data if part.image_size), None)

    @property
    def framing(self) -> Framing | None:
        """Where faces lie in the frames that it learned from; None: not known, or in several."""
        found = {part.framing for part in self.data if part.role in ("real", "train")}
        return found.pop() if len(found) == 1 else None


def shipped() -> dict[str, Path]:
    """Folders of the recognizers that come with the package, by name."""
    return {card.parent.name: card.parent for card in sorted(SHIPPED.glob(f"*/{CARD}"))}


def channel_statistics(
    statistics: ChannelStatistics,
) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Statistics of a training as a card holds them."""
    return {
        name: (tuple(mean.tolist()), tuple(deviation.tolist()))
        for name, (mean, deviation) in statistics.items()
    }


def save_recognizer(folder: Path, weights: Weights, card: RecognizerCard) -> str:
    """Write a trained recognizer, all or nothing.

    Args:
        folder: must not exist.
        weights: the model's state.
        card: what to write beside it; ``sha256`` is filled in.

    Returns:
        SHA-256 of the weights.

    Raises:
        FileExistsError: if the folder exists.
    """
    facts = {"format": _FORMAT, **msgspec.to_builtins(card)}
    del facts["sha256"]
    tensors = {k: torch.from_numpy(np.array(v, order="C")) for k, v in weights.items()}
    with whole_folder(folder) as partial:
        return str(write_card(partial / CARD, WEIGHTS, tensors, facts)["sha256"])


def hub_card(card: RecognizerCard) -> str:
    """The model card of a trained recognizer for the Hugging Face Hub."""
    facts = (
        ("system", card.model),
        ("classes", ", ".join(card.classes)),
        ("inputs", "; ".join(f"{name} {spec.shape}" for name, spec in card.inputs.items())),
        ("trained on", f"{card.learned.clips} clips, {card.learned.synthetic} of them synthetic"),
        ("has seen", f"{len(card.people)} people; figures on them are no test"),
        ("note", card.note),
        *(
            (
                f"UF1 on {Path(test.path).name}, {test.clips} clips of {len(test.people)} people",
                f"{test.uf1[0]:.3f}",
            )
            for test in card.tested
        ),
        ("SHA-256", f"`{card.sha256}`"),
    )
    task = f"A recognizer of facial micro-expressions: the system {card.model}."
    return model_card(card.model, task, _HUB, facts)


def load_card(folder: Path) -> RecognizerCard:
    """Read the card of a trained recognizer.

    Raises:
        RecognizerError: if there is none, it is damaged, or of another version of the format.
    """
    path = folder / CARD
    if not path.is_file():
        raise RecognizerError(_why_none(folder))
    try:
        facts = read_card(path, sealed=True)
        sha256, version = facts.pop("sha256"), facts["format"]
        if version not in (1, _FORMAT):
            raise RecognizerError(
                f"{path} has format {version!r}, this mersynth reads {_FORMAT}; {AGAIN}, or "
                f"install the version that wrote it ({facts.get('mersynth')})"
            )
        del facts["weights"]
        del facts["format"]
        if version == 1:  # which called the split so
            facts["split"] = facts.pop("protocol")
        return converted({**facts, "sha256": sha256}, RecognizerCard)
    except RecognizerError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecognizerError(f"{path} is damaged ({error}); {AGAIN}") from error


def _why_none(folder: Path) -> str:
    """What is there instead of a trained recognizer, and what to do about it."""
    if (folder / RESULTS).exists():
        kept = sorted(path.parent for path in folder.glob(f"folds/*/{CARD}"))
        if kept:
            return f"{folder} is a run of several recognizers; name one of them: {kept[0]} ..."
    if not folder.name:
        return f"{str(folder)!r} names no recognizer; give its folder"
    fold = folder.with_suffix("") if folder.suffix in (".json", ".safetensors") else folder
    if (fold / CARD).exists():
        return f"{folder} is a part of a fold; name the folder {fold}"
    if fold.with_name(f"{fold.name}.json").exists() or (folder / RESULTS).exists():
        return (
            f"{folder} kept no recognizer that could be used: repeat the command that made the run "
            "with keep_weights=true, which trains its folds again and keeps them"
        )
    what = f"{folder} holds no {CARD}" if folder.exists() else f"no recognizer at {folder}"
    return (
        f"{what}; `recognizers fit --model MODEL --store STORE` makes one, and with the package "
        f"come {', '.join(shipped())}"
    )
