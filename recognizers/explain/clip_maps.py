"""Maps of clips, each by the model of the fold that tested it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mersynth.logs import progress
from recognizers.explain.attention import attention_maps
from recognizers.explain.au_cam import au_cam
from recognizers.explain.grad_cam import grad_cam
from recognizers.explain.layer_maps import CamLayer, cam_layers
from recognizers.explain.opening import FoldModel, OpenedRun
from recognizers.models.base import Output, Recognizer
from recognizers.models.dual_branch import DualBranch
from recognizers.runs.files import RunError

MapMethod = Literal["au-cam", "grad-cam", "attention"]
Target = Literal["predicted", "true"]

_AT_ONCE = 16  # clips

Maps = Mapping[str, Tensor]
_Explain = Callable[[Recognizer, Mapping[str, Tensor], Output, Tensor], Maps]


@dataclass(frozen=True, slots=True)
class ExplainedClips:
    """Clips with what their fold's model looked at; row ``i`` of every array is one clip.

    Attributes:
        rows: rows of the clips in the run's ``ClipArrays``.
        fold: name of the fold that tested it.
        predicted: index of the class that its model predicts.
        explained: index of the class whose evidence a class activation map shows.
        maps: (N, h, w) float32 each, 0 or more, by the map's name.
    """

    rows: np.ndarray
    fold: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    maps: Mapping[str, np.ndarray]


def explain_clips(
    run: OpenedRun, method: MapMethod, wanted: Sequence[int], target: Target = "predicted"
) -> ExplainedClips:
    """The maps of clips, each by the model of the fold that tested it.

    Args:
        run: the run.
        method: ``"au-cam"``, ``"grad-cam"`` or ``"attention"``.
        wanted: rows of the clips.
        target: see :func:`explain`.

    Raises:
        RunError: if the model has no such explanation, or does not predict what the run says.
    """
    chosen = set(wanted)
    folds = [
        i for i, r in enumerate(run.records) if any(run.row[clip] in chosen for clip in r.clips)
    ]
    rows: list[int] = []
    names: list[str] = []
    predicted, explained = [], []
    maps: dict[str, list[np.ndarray]] = {}
    with progress(method, total=len(chosen), unit="clips") as advance:
        for fold in run.folds(folds):
            make = _maker(run, method, fold.model)
            positions = [p for p, row in enumerate(fold.rows) if row in chosen]
            for first in range(0, len(positions), _AT_ONCE):
                part = positions[first : first + _AT_ONCE]
                own = [fold.rows[p] for p in part]
                output, classes, found = _explain_batch(run, fold, part, own, target, make)
                for name, heat in found.items():
                    maps.setdefault(name, []).append(heat.float().cpu().numpy())
                predicted.append(output.logits.argmax(1).cpu().numpy())
                explained.append(classes.cpu().numpy())
                rows += own
                names += [fold.name] * len(own)
                advance(len(own))
    return ExplainedClips(
        np.array(rows),
        np.array(names),
        np.concatenate(predicted),
        np.concatenate(explained),
        {name: np.concatenate(parts) for name, parts in maps.items()},
    )


def _explain_batch(
    run: OpenedRun,
    fold: FoldModel,
    positions: Sequence[int],
    rows: Sequence[int],
    target: Target,
    make: _Explain,
) -> tuple[Output, Tensor, Maps]:
    inputs = fold.read(rows)
    with torch.no_grad():
        output: Output = fold.model(**inputs)
    fold.check(output.logits, positions, run.path)
    classes = output.logits.argmax(1)
    if target == "true":
        classes = torch.from_numpy(run.clips.label[list(rows)]).to(classes)
    return output, classes, make(fold.model, inputs, output, classes)


def _maker(run: OpenedRun, method: MapMethod, model: Recognizer) -> _Explain:
    """What makes the maps of a batch."""
    if method == "attention":
        return lambda model, inputs, output, classes: _attention(run, output)
    if method == "au-cam" and not isinstance(model, DualBranch):
        raise RunError(
            f"{run.path} is a run of {run.model_name}; AU-CAM needs dual_branch's AU features: "
            "choose --method grad-cam"
        )
    try:
        layers = cam_layers(run.model_name, model)
    except ValueError as error:
        raise RunError(f"{run.path}: {error}") from error
    return lambda model, inputs, output, classes: _cams(method, model, inputs, classes, layers)


def _cams(
    method: MapMethod,
    model: Recognizer,
    inputs: Mapping[str, Tensor],
    classes: Tensor,
    layers: Sequence[CamLayer],
) -> Maps:
    maps = {"grad_cam": grad_cam(model, inputs, classes, layers)}
    if method == "au-cam":
        assert isinstance(model, DualBranch)
        return {"au_cam": au_cam(model, inputs["image"]), **maps}
    return maps


def _attention(run: OpenedRun, output: Output) -> Maps:
    maps = attention_maps(output)
    if not maps:
        raise RunError(
            f"{run.path} is a run of {run.model_name}, which has no attention map with these "
            "options; mmnet (with CA blocks), frl_dgt and frl_dgt_s (fusion before attention, with "
            "full-face fusion) have: choose --method grad-cam"
        )
    return maps
