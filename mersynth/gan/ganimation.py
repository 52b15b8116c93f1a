"""Starting from a published GANimation generator."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mersynth.checks import listed
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import CheckpointError, load_tensors
from mersynth.gan.generator import Generator

logger = logging.getLogger(__name__)

#: Order of the AUs in GANimation's condition (OpenFace's intensity columns); 45, the blink, has no
#: column here.
GANIMATION_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)


def init_from_ganimation(generator: Generator, path: Path) -> tuple[int, ...]:
    """Copy a published GANimation generator into ours.

    The published module has a sequence ``main`` (our ``trunk``), ``img_reg.0`` (our ``colour``) and
    ``attetion_reg.0`` (our ``mask``; the spelling is theirs). The first convolution's channels of
    shared AUs are copied to these AUs' positions here; AUs unknown to GANimation keep their
    initialisation, scaled to GANimation's mean AU channel.

    Args:
        generator: changed in place; it must have GANimation's size.
        path: its state dict, ``.pth`` or ``.safetensors``
            (:func:`mersynth.disk.files.read_tensors`).

    Returns:
        AU numbers that were newly initialised.

    Raises:
        CheckpointError: if names or shapes differ; the first ones that do are named.
    """
    published = {
        _our_name(name): value
        for name, value in load_tensors(path).items()
        # Old versions of torch saved statistics that instance normalisation never uses.
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    heads = [published.pop(name) for name in ("colour", "mask") if name in published]
    if len(heads) == 2 and heads[0].shape[1:] == heads[1].shape[1:]:
        published["heads.weight"] = torch.cat(heads)
    own = generator.state_dict()
    first = "trunk.0.weight"
    differing = _differing(published, own, first)
    if differing:
        raise CheckpointError(
            f"{path} is not a GANimation generator of this size: "
            + listed(differing, 3, "; ")
            + " (change gan.generator, or leave gan.init_from empty)"
        )
    weight = own[first].clone()  # (C, 3 + 20, 7, 7)
    weight[:, :3] = published[first][:, :3]
    theirs = published[first][:, 3:]
    scale = theirs.std() / weight[:, 3:].std()
    missing = tuple(au for au in CONDITION_AUS if au not in GANIMATION_AUS)
    for column, au in enumerate(CONDITION_AUS):
        if au in missing:
            weight[:, 3 + column] *= scale
        else:
            weight[:, 3 + column] = theirs[:, GANIMATION_AUS.index(au)]
    with torch.no_grad():
        generator.load_state_dict({**published, first: weight})
    logger.info("started from %s; AUs newly initialised: %s; left out: 45", path, list(missing))
    return missing


_NAMES = (("main.", "trunk."), ("img_reg.0.weight", "colour"), ("attetion_reg.0.weight", "mask"))


def _our_name(name: str) -> str:
    for theirs, ours in _NAMES:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _differing(published: Mapping[str, Tensor], own: Mapping[str, Tensor], first: str) -> list[str]:
    expected = {name: tuple(value.shape) for name, value in own.items()}
    channels = expected[first][0]
    expected[first] = (channels, 3 + len(GANIMATION_AUS), 7, 7)
    found = {name: tuple(value.shape) for name, value in published.items()}
    return [
        f"{name} has shape {found.get(name, 'none')}, wanted is {expected.get(name, 'none')}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
