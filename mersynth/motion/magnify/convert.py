"""Reads MagNet weights published in the layout of the PyTorch port that the field uses.

That is github.com/ZhengPeng7/motion_magnification_learning-based. Unlike the authors' TensorFlow
model, the port has a manipulator kernel of 3 instead of 7 pixels, no convolution after the
texture's upsampling, and multiplies by alpha, not by ``alpha - 1``; its colours are RGB in [-1, 1],
as here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from mersynth.motion.magnify.magnet import MagNet

_WRAPPER = "module."  # what DataParallel puts before every name


def convert_published(state_dict: Mapping[str, Tensor]) -> MagNet:
    """A MagNet with the port's options and weights, in float32 and evaluation mode.

    Because its manipulator multiplies by alpha itself, ``alpha=1`` does not leave the frame exactly
    unchanged; otherwise alpha has its authors' meaning.

    Args:
        state_dict: the port's, with or without the ``module.`` that DataParallel adds.

    Raises:
        ValueError: naming the keys that are missing or unexpected, or a tensor of another shape.
    """
    model = MagNet(manipulator_kernel=3, texture_convolution=False, still_alpha=0.0)
    given = {name.removeprefix(_WRAPPER): tensor for name, tensor in state_dict.items()}
    names = dict(_names())
    missing, unexpected = sorted(names.keys() - given), sorted(given.keys() - names)
    if missing or unexpected:
        raise ValueError(
            f"no MagNet in the published PyTorch layout: missing: {missing or 'none'}, "
            f"unexpected: {unexpected or 'none'}"
        )
    ours = model.state_dict()
    for theirs, name in names.items():
        if given[theirs].shape != ours[name].shape:
            raise ValueError(
                f"{theirs} has shape {tuple(given[theirs].shape)}, MagNet's has "
                f"{tuple(ours[name].shape)}"
            )
    model.load_state_dict({name: given[theirs].float() for theirs, name in names.items()})
    return model.eval()


def is_published(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether some names are the port's, so that :func:`convert_published` applies."""
    theirs = {name for name, _ in _names()}
    return any(name.removeprefix(_WRAPPER) in theirs for name in state_dict)


def _names() -> Iterator[tuple[str, str]]:
    """Pairs of a name in the port and the same tensor's name here."""

    def conv(theirs: str, ours: str) -> tuple[str, str]:
        return f"{theirs}.conv2d.weight", f"{ours}.weight"

    def block(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
        yield conv(f"{theirs}.cba_1", f"{ours}.first")
        yield conv(f"{theirs}.cba_2", f"{ours}.second")

    yield conv("encoder.cba_1", "encoder.stem.0")
    yield conv("encoder.cba_2", "encoder.stem.2")
    for i in range(3):
        yield from block(f"encoder.resblks.{i}", f"encoder.trunk.{i}")
    for theirs, ours in (("texture", "texture"), ("motion", "shape")):
        yield conv(f"encoder.{theirs}_cba", f"encoder.{ours}.0")
        for i in range(2):  # after the convolution and its ReLU
            yield from block(f"encoder.{theirs}_resblks.{i}", f"encoder.{ours}.{2 + i}")
    yield conv("manipulator.g", "manipulator.g.0")
    yield conv("manipulator.h_conv", "manipulator.h.0")
    yield from block("manipulator.h_resblk", "manipulator.h.1")
    for i in range(9):
        yield from block(f"decoder.resblks.{i}", f"decoder.trunk.{i}")
    yield conv("decoder.cba_1", "decoder.up.1")
    yield conv("decoder.cba_2", "decoder.output")
