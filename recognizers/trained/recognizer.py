"""A trained recognizer as an object: classes, inputs, and the probabilities of new clips."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mersynth.card import read_weights
from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.devices import choose_device
from mersynth.hub import fetch, save_folder
from mersynth.store.clip_store import ClipStore, warn_framings
from mersynth.store.names import dataset_key, person_key
from recognizers.data.feature_files import read_clips
from recognizers.data.inputs import make_inputs
from recognizers.models import create_model
from recognizers.models.base import InputSpec, Recognizer
from recognizers.trained.card import (
    AGAIN,
    CARD,
    WEIGHTS,
    RecognizerCard,
    RecognizerError,
    hub_card,
    load_card,
    shipped,
)
from recognizers.trained.raw_clips import called, prepared_clip
from recognizers.training.trainer import (
    PREDICTED_AT_ONCE,
    Statistics,
    class_probabilities,
    standardised,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a recognizer says of clips; row ``i`` of everything is about one clip.

    Attributes:
        clips: the N clips.
        classes: names of the C classes.
        probabilities: (N, C) float64; a row adds up to 1.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def predicted(self) -> list[str]:
        """The class that each clip most probably shows."""
        return [self.classes[i] for i in self.probabilities.argmax(1)]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedRecognizer:
    """A trained recognizer; :func:`load` gives one.

    Attributes:
        path: its folder.
        card: how it was made, of what, and whom it has seen.
        model: in evaluation mode, on ``device``.
        statistics: by standardised input, what it is brought to one scale by.
        device: where it computes.

    Example:
        >>> recognizer = recognizers.load("models/ststnet")          # doctest: +SKIP
        >>> recognizer.predict_store("stores/samm").probabilities   # doctest: +SKIP
        array([[0.71, 0.18, 0.11], ...
    """

    path: Path
    card: RecognizerCard
    model: Recognizer
    statistics: Statistics
    device: torch.device

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.card.classes

    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """The tensors that it reads, by name."""
        return self.card.inputs

    @staticmethod
    def from_pretrained(
        name: str | Path, device: str | torch.device = "auto", *, revision: str | None = None
    ) -> TrainedRecognizer:
        """Load a trained recognizer, also from the Hugging Face Hub.

        Args:
            name: as :func:`load` takes it; or, where there is no such folder, ``owner/name`` of a
                repository of the Hub.
            device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
            revision: branch, tag or commit on the Hub.

        Raises:
            RecognizerError: if there is none, or it cannot be used (:func:`load`).
            HubError: if it cannot be had from the Hub.
        """
        path = name if str(name) in shipped() else fetch(name, revision)
        return load(path, device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Copy weights and card into a new folder, with a model card to upload them with.

        Raises:
            HubError: if the folder exists, or the weights were changed since they were loaded.
        """
        save_folder(Path(folder), self.path / CARD, self.model.state_dict(), hub_card(self.card))

    def predict_proba(self, inputs: Mapping[str, Tensor | np.ndarray]) -> np.ndarray:
        """The probability of each class.

        Args:
            inputs: (N, ...) of each name, shape, channels and range of :attr:`inputs`, not
                standardised: floating point tensors or arrays.

        Returns:
            (N, C) float64; a row adds up to 1.

        Raises:
            RecognizerError: if names are missing or unknown, or the numbers of clips differ.
            TypeError, ValueError: if an array does not fit its :class:`InputSpec`.
        """
        tensors = {name: _tensor(name, values) for name, values in inputs.items()}
        counts = {len(tensor) for tensor in tensors.values()}
        if set(tensors) != set(self.inputs) or len(counts) != 1:
            wanted = ", ".join(f"{k} (N, {str(s.shape)[1:]}" for k, s in self.inputs.items())
            got = ", ".join(f"{k} {tuple(t.shape)}" for k, t in tensors.items())
            raise RecognizerError(f"inputs must be {wanted}, of one N; got {got or 'nothing'}")
        for name, tensor in tensors.items():
            self.inputs[name].check(name, tensor)

        def batch(first: int) -> dict[str, Tensor]:
            rows = slice(first, first + PREDICTED_AT_ONCE)
            part = {name: tensor[rows].float() for name, tensor in tensors.items()}
            moved = {name: tensor.to(self.device) for name, tensor in part.items()}
            return standardised(moved, self.statistics)

        firsts = range(0, counts.pop(), PREDICTED_AT_ONCE)
        return class_probabilities(self.model, map(batch, firsts))

    def predict_store(self, store: ClipStore | str | Path, where: str | None = None) -> Prediction:
        """Predict the clips of a store, labelled or not.

        Features that the store's folder lacks are computed and kept there. Clips without what an
        input needs, such as an apex, are left out, with a warning. Warnings also name people whom
        the recognizer was trained on, and a framing other than that of its training.

        Args:
            store: the store, a view of one, or its folder.
            where: what messages call it; None: its folder.

        Raises:
            RecognizerError: if it learned from arrays, or from frames of another size.
            StoreError: if the folder is no whole store.
            ValueError: if no clip is left.
        """
        opened = store if isinstance(store, ClipStore) else ClipStore.open(store)
        where = str(opened.path) if where is None else where
        self.check_takes_frames(where)
        if opened.image_size != self.card.image_size:
            raise RecognizerError(
                f"{where} has frames of {opened.image_size} pixels, {self.path} learned from "
                f"{self.card.image_size}: prepare the store with --image-size "
                f"{self.card.image_size}, for a model learns from their sharpness"
            )
        warn_framings(
            {where: opened.framing, str(self.path): self.card.framing},
            "Prepare the store again with the other's framing: a recognizer learns where faces lie",
        )
        inputs, kept = make_inputs(
            opened, self.inputs, self.device, features=self.card.features, where=where
        )
        clips = tuple(opened.clips[i] for i in kept)
        self._tell_people(clips, where)
        return Prediction(clips, self.classes, self.predict_proba(inputs))

    def predict_file(self, path: str | Path) -> Prediction:
        """Predict the clips of a feature file, whose labels are not read.

        Args:
            path: as :func:`recognizers.data.feature_files.read_features` takes it; ``y`` may lack.

        Raises:
            FileNotFoundError: if there is no such file.
            FeatureFileError: if it cannot be read, or does not fit the inputs.
        """
        inputs, clips = read_clips(path, self.inputs)
        self._tell_people(clips, str(path))
        return Prediction(clips, self.classes, self.predict_proba(inputs))

    def predict_clip(
        self,
        frames: np.ndarray | str | Path,
        *,
        onset: int | None = None,
        apex: int | None = None,
        offset: int | None = None,
        aligned: bool = False,
    ) -> Prediction:
        """Predict one clip that is in no store.

        Args:
            frames: (T, H, W, 3) uint8, RGB; or a folder of frames, or a video file.
            onset: number of the frame in which the movement begins: counted from 0 in an array or
                a video, as file names say in a folder. None: the first.
            apex: of that in which it is strongest. None: it is spotted, and logged.
            offset: of that in which it ends. None: the last.
            aligned: the frames are squares framed as those that the recognizer learned from; else
                the face is looked for and brought there, as ``mersynth prepare`` does.

        Returns:
            The prediction of one clip, N = 1.

        Raises:
            RecognizerError: if it learned from arrays, or the clip cannot be read or brought there.
        """
        with prepared_clip(
            self, frames, onset=onset, apex=apex, offset=offset, aligned=aligned
        ) as store:
            return self.predict_store(store, called(frames))

    def check_takes_frames(self, what: str) -> None:
        """Refuse frames where the inputs were given as arrays.

        Raises:
            RecognizerError: if it learned from feature files alone.
        """
        if self.card.scheme is None:
            given = ", ".join(f"{name} {spec.shape}" for name, spec in self.inputs.items())
            raise RecognizerError(
                f"{self.path} learned from arrays ({given}), and how they were made of frames is "
                f"not known: {what} cannot be predicted; give a feature file with such arrays "
                "(--data FILE.npz)"
            )

    def _tell_people(self, clips: Sequence[Clip], where: str) -> None:
        """Warn of people whom the training has seen: what is said of them is no test."""
        seen = {_person(name) for name in self.card.people}
        people = sorted({clip.subject_id for clip in clips})
        known = [name for name in people if _person(name) in seen]
        if known:
            logger.warning(
                "%s: the recognizer has seen %d of %d people before, so that this is no test of "
                "it: %s",
                where,
                len(known),
                len(people),
                listed(known),
            )


def _tensor(name: str, values: object) -> Tensor:
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecognizerError(f"{name} must be an array (N, ...), got {values!r:.60}") from error
    if not tensor.ndim:
        raise RecognizerError(f"{name} must be an array (N, ...), got {values!r:.60}")
    return tensor


def _person(subject_id: str) -> tuple[str, str]:
    """What all spellings of a person's id have in common."""
    dataset, _, subject = subject_id.partition("/")
    return dataset_key(dataset), person_key(subject)


def load(path: str | Path, device: str | torch.device = "auto") -> TrainedRecognizer:
    """Load a trained recognizer.

    Args:
        path: the folder that ``recognizers fit`` wrote; that of a fold of a run made with
            ``keep_weights=true``, such as ``runs/loso_ststnet_samm/folds/0_0003``; or the name of
            one that comes with the package, such as ``phantom-ststnet``.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        RecognizerError: if there is none, it is damaged, of another version, or card, weights and
            this version's system do not fit together.
    """
    folder, device = shipped().get(str(path), Path(path)), choose_device(device)
    card = load_card(folder)
    try:
        tensors = read_weights(folder / CARD, {"weights": WEIGHTS, "sha256": card.sha256})
    except ValueError as error:
        raise RecognizerError(f"{error}; {AGAIN}") from error
    options = dict(card.options)
    if "weights" in options:  # to start from, which the state replaces
        options["weights"] = "none"
    try:
        model = create_model(card.model, len(card.classes), **options)
        model.load_state_dict(tensors)
    except (ValueError, TypeError, RuntimeError) as error:
        raise RecognizerError(
            f"{folder} does not fit the system {card.model!r} of this version ({error}); {AGAIN}"
        ) from error
    # The form of maps of motion is the training's choice, not the system's.
    plain = {name: replace(spec, scale=None, framing=None) for name, spec in card.inputs.items()}
    if model.inputs != plain or not set(card.statistics) <= set(card.inputs):
        raise RecognizerError(
            f"{folder / CARD}: the inputs of {card.model!r} are others in this version of mersynth "
            f"than in {card.mersynth}, which made it; {AGAIN}, or install that version"
        )
    statistics = {
        name: (_channels(mean, device), _channels(deviation, device))
        for name, (mean, deviation) in card.statistics.items()
    }
    return TrainedRecognizer(folder, card, model.to(device).eval(), statistics, device)


def _channels(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
