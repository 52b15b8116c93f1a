"""Makes a model's inputs from a store: the tensors that its ``inputs`` declare.

A kind of input (:mod:`recognizers.data.input_kinds`) is made from the clips' frames and from
features that are kept in the store (:mod:`mersynth.features`), so that each is computed only once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.augment.au_sets import au_sets
from mersynth.clips import Clip
from mersynth.devices import choose_device
from mersynth.features.cache import complete_options, compute_features, load_feature
from mersynth.features.kinds import FEATURES, REMEDIES, Need, has, warn_still
from mersynth.motion.maps import cut, scaled
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.store.dataset import ClipDataset
from recognizers.data.input_kinds import INPUT_KINDS, FeatureOptions
from recognizers.data.phases import check_one_phase, falling
from recognizers.models.base import InputSpec

logger = logging.getLogger(__name__)

_BATCH = 16  # clips at once


@dataclass(frozen=True, slots=True)
class ModelData:
    """The clips of a store as a model reads them; row ``i`` of every array is one clip.

    Attributes:
        inputs: (N, ...) float32 of each spec's ``shape``, by the input's name, in main memory.
        label: (N,) int64, index in ``classes``.
        au_set: (N, S, 2) float32, see :func:`mersynth.augment.au_sets`.
        clips: the N clips.
        classes: names of the classes.
        falling: like ``inputs``, of the clips' falling phase (:mod:`recognizers.data.phases`);
            empty if it was not asked for.
    """

    inputs: dict[str, Tensor]
    label: Tensor
    au_set: Tensor
    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    falling: dict[str, Tensor] = field(default_factory=dict)


def build_inputs(
    store: ClipStore,
    specs: Mapping[str, InputSpec],
    scheme: str,
    device: str | torch.device = "cpu",
    *,
    features: FeatureOptions | None = None,
    phases_apart: bool = False,
) -> ModelData:
    """Make a model's inputs for every clip that has a class and what the inputs need.

    Features that the store's folder lacks are computed and kept there. Images are resized to the
    spec's size: averaged over areas if both sides shrink, else interpolated bilinearly. Maps of
    motion are cut to the spec's framing before that, and brought to its scale after it.

    Args:
        store: any store, real or synthetic, or a filtered view of one.
        specs: ``Recognizer.inputs``.
        scheme: label scheme (``facs.emotions.SCHEMES``); clips without a class in it are left out.
        device: where to compute and resize; ``"auto"`` as :func:`mersynth.devices.choose_device`.
        features: options of features that differ from the inputs' own, for instance
            ``{"on_off": {"alpha": 4.0}}``, as the dual-branch paper does for SAMM.
        phases_apart: also give ``falling``, whose features are computed each time.

    Returns:
        The data. A clip without what an input needs, such as an apex, is left out, with a warning.

    Raises:
        ValueError: if an input's kind is unknown or does not fit its spec, an option is wrong or
            for a feature that no input needs, the spec's framing shows more than the frames, or no
            clip is left.
        FeatureError: if a feature is unknown or its file is damaged.
        ConfigError: if an input shows both phases of a clip, and ``phases_apart`` is asked for.
    """
    if phases_apart:
        check_one_phase(specs)
    named = ClipDataset(store, scheme=scheme)
    inputs, kept = make_inputs(named.store, specs, device, features=features)
    clips = tuple(named.store.clips[i] for i in kept)
    return ModelData(
        inputs=inputs,
        label=torch.tensor([named.labels[i] for i in kept]),
        au_set=au_sets([clip.aus for clip in clips]),
        clips=clips,
        classes=named.classes,
        falling=_falling(named.store, kept, specs, device, features) if phases_apart else {},
    )


def _falling(
    store: ClipStore,
    kept: Sequence[int],
    specs: Mapping[str, InputSpec],
    device: str | torch.device,
    features: FeatureOptions | None,
) -> dict[str, Tensor]:
    """The inputs of clips, by their positions, in the falling phase."""
    items = [falling(store[i]) for i in kept]
    needed = _needed_features(specs, features or {})
    return {
        name: _build(name, spec, store, items, needed[name], choose_device(device), kept=False)
        for name, spec in specs.items()
    }


def make_inputs(
    store: ClipStore,
    specs: Mapping[str, InputSpec],
    device: str | torch.device = "cpu",
    *,
    features: FeatureOptions | None = None,
    where: str | None = None,
) -> tuple[dict[str, Tensor], list[int]]:
    """Make a model's inputs for every clip that has what they need, labelled or not.

    Args:
        store: any store, or a view of one.
        specs: as for :func:`build_inputs`.
        device: likewise.
        features: likewise.
        where: name of the store in warnings; None: its folder.

    Returns:
        The inputs (n, ...) float32 by name, and the positions of these n clips in the store.

    Raises:
        ValueError, FeatureError: as :func:`build_inputs`.
    """
    device = choose_device(device)
    needed = _needed_features(specs, features or {})
    needs = _needs(specs, needed)
    where = str(store.path) if where is None else where
    kept = _usable(store, needs, where)
    items = [store[i] for i in kept]
    if "apex" in needs:
        warn_still(items, where)
    return {
        name: _build(name, spec, store, items, needed[name], device) for name, spec in specs.items()
    }, kept


def needs_of(specs: Mapping[str, InputSpec], features: FeatureOptions | None = None) -> set[Need]:
    """What a clip must have for these inputs, with these options of their features.

    Raises:
        ValueError: as :func:`build_inputs`.
    """
    return _needs(specs, _needed_features(specs, features or {}))


def _needed_features(
    specs: Mapping[str, InputSpec], given: FeatureOptions
) -> dict[str, dict[str, dict[str, Any]]]:
    """The features that each input needs, with all their options; refuses what does not fit."""
    needed: dict[str, dict[str, dict[str, Any]]] = {}
    for name, spec in specs.items():
        if spec.made_of not in INPUT_KINDS:
            raise ValueError(
                f"input {name!r} is made of {spec.made_of!r}; known are "
                f"{', '.join(sorted(INPUT_KINDS))}; recognizers.data.input_kinds adds others"
            )
        kind = INPUT_KINDS[spec.made_of]
        if spec.channels != kind.channels or (spec.num_frames is not None) != kind.of_frames:
            frames = "a number of frames" if kind.of_frames else "num_frames=None"
            raise ValueError(
                f"input {name!r}: {spec.made_of!r} has {', '.join(kind.channels)} and {frames}, "
                f"the spec {', '.join(spec.channels)} and num_frames={spec.num_frames}"
            )
        own = kind.features(spec)
        needed[name] = complete_options({key: {**own[key], **given.get(key, {})} for key in own})
    used = {feature for wanted in needed.values() for feature in wanted}
    if by_frame := sorted(feature for feature in used if FEATURES[feature].of != "clip"):
        raise ValueError(f"inputs need features with one row per clip, {by_frame} is per frame")
    if unused := sorted(set(given) - used):
        raise ValueError(
            f"features: options of {', '.join(unused)}, which no input needs; needed are "
            f"{', '.join(sorted(used)) or 'none'}"
        )
    return needed


def _needs(specs: Mapping[str, InputSpec], needed: FeatureOptions) -> set[Need]:
    """What a clip must have for all inputs and their features."""
    own = {need for spec in specs.values() for need in INPUT_KINDS[spec.made_of].needs}
    return own | {FEATURES[feature].needs for wanted in needed.values() for feature in wanted}


def _usable(store: ClipStore, needs: set[Need], where: str) -> list[int]:
    """Positions of the clips that have what is needed."""
    lacks = [{need for need in needs if not has(item, need)} for item in store]
    kept = [i for i, lack in enumerate(lacks) if not lack]
    if len(kept) < len(store):
        missing = sorted({need for lack in lacks for need in lack})
        count = f"{where}: {len(store) - len(kept)} of {len(store)} clips"
        left_out = f"{count} are left out, since they have no {' or '.join(missing)}"
        advice = "; ".join(REMEDIES[need] for need in missing)
        if not kept:
            raise ValueError(f"{left_out}: none is left; {advice}")
        logger.warning("%s; %s", left_out, advice)
    return kept


@torch.no_grad()
def _build(
    name: str,
    spec: InputSpec,
    store: ClipStore,
    items: Sequence[StoredClip],
    needed: FeatureOptions,
    device: torch.device,
    kept: bool = True,
) -> Tensor:
    """(N, ...) of one input; its features are those kept in the store, else computed anew."""
    whole = ClipStore.open(store.path)  # features belong to whole stores, not to views
    if kept:
        compute_features(whole, needed, device)
        values = {key: load_feature(whole, key, **options) for key, options in needed.items()}
        row = {clip.id: i for i, clip in enumerate(whole.clips)}
    build = INPUT_KINDS[spec.made_of].build
    result = torch.empty(len(items), *spec.shape)
    for first in range(0, len(items), _BATCH):
        batch = items[first : first + _BATCH]
        if kept:
            rows = [row[item.clip.id] for item in batch]
            own = {key: torch.from_numpy(v[rows]).to(device) for key, v in values.items()}
        else:
            own = {k: FEATURES[k].compute(batch, device, **given) for k, given in needed.items()}
        tensor = build(batch, own, spec).to(device)
        if spec.framing is not None and store.framing is not None:
            tensor = cut(tensor, store.framing, spec.framing)
        tensor = _resize(tensor, spec.size)
        spec.check(name, tensor)
        result[first : first + len(batch)] = torch.from_numpy(
            scaled(tensor.cpu().numpy(), spec.scale or "none")
        )
    return result


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., C, H, W) of any size to another one, on the images' device."""
    flat = images.flatten(0, -4)
    shrinks = size[0] <= images.shape[-2] and size[1] <= images.shape[-1]
    flat = F.interpolate(flat, size, mode="area" if shrinks else "bilinear", antialias=not shrinks)
    return flat.unflatten(0, images.shape[:-3])
