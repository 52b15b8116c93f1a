"""Weights that authors published: read from their files and assigned to our modules by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mersynth.checks import listed
from mersynth.disk.files import read_tensors, tensors_by_name


class PublishedError(ValueError):
    """A file of published weights cannot be read, or holds those of another model."""


def read_state_dict(source: Mapping[str, Any] | str | Path) -> dict[str, Tensor]:
    """The tensors of a state dict or of a file of one, without wrappers around their names.

    Args:
        source: tensors by name, or a file: ``.safetensors``, or what ``torch.save`` wrote (no code
            in it is run). They may be nested under ``state_dict``, ``model`` and so on.

    Raises:
        PublishedError: if there is no such file, it cannot be read, or holds no tensors by name.
    """
    try:
        if isinstance(source, str | Path):
            return read_tensors(Path(source))
        return tensors_by_name(source)
    except ValueError as error:
        raise PublishedError(str(error)) from error


def load_renamed(
    model: nn.Module,
    published: Mapping[str, Tensor],
    names: Mapping[str, str],
    unused: Collection[str] = (),
) -> None:
    """Load weights that have other names; every name must be accounted for.

    Args:
        model: receives the weights.
        published: tensors by the authors' names.
        names: the authors' name for each of the model's names: ``names[ours] = theirs``. Our
            counters ``num_batches_tracked`` may be missing in ``published``, as in old files.
        unused: the authors' names that have no counterpart in our model.

    Raises:
        PublishedError: naming the first names that are missing, unknown, or of another shape.
        KeyError: if ``names`` lacks one of the model's names (the caller's mistake).
    """
    own = model.state_dict()
    needed = {names[ours]: tensor for ours, tensor in own.items()}
    missing = [n for n in needed if n not in published and not n.endswith("num_batches_tracked")]
    unknown = [n for n in published if n not in needed and n not in unused]
    shapes = [
        f"{n} is {tuple(published[n].shape)} instead of {tuple(tensor.shape)}"
        for n, tensor in needed.items()
        if n in published and published[n].shape != tensor.shape
    ]
    differing = [
        f"{what} ({len(found)}): {listed(found, 3)}"
        for what, found in (("missing", missing), ("unknown", unknown), ("shape", shapes))
        if found
    ]
    if differing:
        raise PublishedError(
            f"these are not {type(model).__name__}'s published weights: {'; '.join(differing)}"
        )
    model.load_state_dict({o: published.get(names[o], tensor) for o, tensor in own.items()})
