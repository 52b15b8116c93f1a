"""The layers of a system whose output is a map of the face, and their outputs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.facs.regions import half_rows
from recognizers.models.base import Recognizer
from recognizers.models.dual_branch import DualBranch

# By registered name: the last layer of each stream whose output is a map. The output must be one
# tensor, (B, C, h, w) or (B, C, T, h, w), and the layer must be called once.
_LAYERS: dict[str, tuple[str, ...]] = {
    "au_gacn": ("stpnet.pool4",),
    "capsulenet": ("trunk",),  # the capsules' own maps have 6 x 6 positions, before any ReLU
    "dssn": ("streams.flow_magnitude", "streams.flow_strain"),
    "frl_dgt": ("fusion.embed_face.0",),  # after it there are tokens, not maps
    "frl_dgt_s": ("fusion.embed_face.0",),
    "mer_gcn": ("backbone.pool4",),
    "mmnet": ("blocks.3.norm2",),  # the block itself also returns its attention
    "nmer": ("trunk",),
    "off_apexnet": ("streams.u.pool2", "streams.v.pool2"),
    "resnet18": ("trunk.layer4",),
    "sssn": ("trunk",),
    "stcnn": ("pool",),
    "ststnet": ("streams",),
}


@dataclass(frozen=True, slots=True)
class CamLayer:
    """A layer whose output is a map of the face.

    Attributes:
        name: name of the module within the model.
        region: the part of the image that it sees.
    """

    name: str
    region: Literal["face", "eyes", "mouth"] = "face"

    def rows(self, height: int) -> slice:
        """The image's rows that the layer sees."""
        return slice(0, height) if self.region == "face" else half_rows(self.region, height)


def cam_layers(name: str, model: Recognizer) -> tuple[CamLayer, ...]:
    """The layers that Grad-CAM looks at.

    A system from outside the package names its own in an attribute ``cam_layers``, a tuple of
    names of modules that see the whole face.

    Args:
        name: the system's registered name.
        model: the system.

    Raises:
        ValueError: if it has none, with the reason.
    """
    if isinstance(model, DualBranch):
        return tuple(CamLayer(f"branches.{region}.layer4", region) for region in model.regions)
    names = getattr(model, "cam_layers", None) or _LAYERS.get(name, ())
    if model.fits_directly:
        raise ValueError(f"Grad-CAM needs gradients, but {name} does not learn by gradients")
    if not names:
        allowed = ", ".join(sorted({*_LAYERS, "dual_branch"}))
        raise ValueError(
            f"{name} has no layer with a map of the face and gradients; Grad-CAM explains "
            f"{allowed}, and any model with an attribute cam_layers"
        )
    known = dict(model.named_modules())
    if missing := [layer for layer in names if layer not in known]:
        raise ValueError(
            f"{name} has no layer {', '.join(missing)} with these options: it has "
            f"{', '.join(n for n, _ in model.named_children())}"
        )
    return tuple(CamLayer(layer) for layer in names)


@contextmanager
def outputs_of(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Inside the context, the latest output of each named module, by its name."""
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, given: object, output: Tensor) -> None:
        found[name] = output

    hooks = [
        model.get_submodule(name).register_forward_hook(functools.partial(keep, name))
        for name in names
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h, w) to (B, H, W), bilinearly."""
    return F.interpolate(maps[:, None], size, mode="bilinear")[:, 0]
