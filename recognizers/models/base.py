"""The interface of every recognition system: the tensors it reads, what it returns, its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_whole
from mersynth.face.template import Framing
from mersynth.motion.maps import Scale


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A tensor that a model reads.

    Attributes:
        made_of: what it shows: ``"clip"``, ``"onset"``, ``"apex"``, ``"apex_minus_onset"``,
            ``"flow"`` and so on.
        channels: their names, in order: ``("red", "green", "blue")``, ``("u", "v")``. A
            wrong order breaks results silently, so a feature array carries the same names.
        size: (height, width) in pixels.
        num_frames: frames of a clip (B, T, C, H, W); None for an image (B, C, H, W).
        range: lowest and highest value; None where it has no bounds (flow in pixels).
        scale: of maps of motion, whose range is None: what each channel of each clip is brought to;
            None: as they come.
        framing: of such maps: the part of the face that they show; None: as they come.
    """

    made_of: str
    channels: tuple[str, ...]
    size: tuple[int, int]
    num_frames: int | None = None
    range: tuple[float, float] | None = (0.0, 1.0)
    scale: Scale | None = None
    framing: Framing | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (T, C, H, W) or (C, H, W)."""
        frames = () if self.num_frames is None else (self.num_frames,)
        return (*frames, len(self.channels), *self.size)

    def check(self, name: str, tensor: Tensor) -> None:
        """Refuse a tensor that does not fit.

        Args:
            name: the input's name, for the error.
            tensor: (B, ...) with ``shape`` after the batch dimension, floating point.

        Raises:
            TypeError: if it is not a tensor of floating point numbers.
            ValueError: if the shape differs, a value is not finite or lies outside of ``range``.
        """
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{name}: expected a floating point tensor, got {kind}")
        if tuple(tensor.shape[1:]) != self.shape or not len(tensor):
            layout = "(B, C, H, W)" if self.num_frames is None else "(B, T, C, H, W)"
            wanted = ", ".join(("B", *map(str, self.shape)))
            raise ValueError(
                f"{name} ({self.made_of}: {', '.join(self.channels)}) must be {layout} = "
                f"({wanted}), got {tuple(tensor.shape)}"
            )
        # Reading values would break a compiled graph; a meta tensor has no values.
        if torch.compiler.is_compiling() or tensor.is_meta:
            return
        low, high = (float(limit) for limit in tensor.detach().aminmax())  # NaN stays NaN
        if not float("-inf") < low <= high < float("inf"):
            raise ValueError(f"{name}: values must be finite, got some that are NaN or infinite")
        if self.range is None:
            return
        slack = 1e-3 * (self.range[1] - self.range[0])  # what resizing in float32 may add
        if low < self.range[0] - slack or high > self.range[1] + slack:
            raise ValueError(
                f"{name}: values must lie in [{self.range[0]:g}, {self.range[1]:g}], got "
                f"{low:g} to {high:g}; scale them first (images of 0..255 are divided by 255)"
            )


@dataclass(frozen=True)
class Output:
    """What a model returns.

    Attributes:
        logits: (B, C), one score per class before softmax.
        features: (B, D), the classifier's input.
        extras: further tensors that the model's loss or an explanation needs, by name.
    """

    logits: Tensor
    features: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)


class Recognizer(nn.Module):
    """Base class of the systems; ``forward`` takes the tensors of ``inputs`` by name.

    A system defines ``forward(self, *, onset: Tensor, ...) -> Output``, which first calls
    ``self.check_inputs(onset=onset, ...)``; sets ``inputs`` in its constructor, since sizes depend
    on options; and registers itself with ``register_model``. Its constructor takes ``num_classes``
    and keyword options, and draws weights only from torch's generator, which the caller seeds.

    Args:
        num_classes: number of classes C.

    Attributes:
        paper: the reference, set by each class.
        published: whether ``load_published`` reads the authors' own state dict; the registry
            sets it.
        targets: names of the tensors that ``loss`` needs besides the labels.
        fits_directly: whether ``fit_directly`` replaces training by gradients.
        draws_one_frame_of: the inputs with several frames of which training uses a random one.
        inputs: the tensors that ``forward`` takes, by name.
        num_classes: number of classes C.

    Raises:
        ValueError: if there are fewer than two classes, or more than 100,000.
    """

    paper: ClassVar[str]
    published: ClassVar[bool] = False
    targets: ClassVar[tuple[str, ...]] = ()
    fits_directly: ClassVar[bool] = False
    draws_one_frame_of: ClassVar[tuple[str, ...]] = ()
    inputs: dict[str, InputSpec]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        check_whole("num_classes", num_classes, 2, 100_000)
        self.num_classes = num_classes

    def check_inputs(self, **tensors: Tensor) -> None:
        """Refuse inputs that do not fit ``inputs``.

        Raises:
            TypeError: if one is not a tensor of floating point numbers.
            ValueError: if names, shapes, values or batch sizes do not fit.
        """
        if set(tensors) != set(self.inputs):
            raise ValueError(f"inputs are {', '.join(self.inputs)}; got {', '.join(tensors)}")
        for name, tensor in tensors.items():
            self.inputs[name].check(name, tensor)
        sizes = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"inputs must have one batch size, got {sizes}")

    def check_targets(self, given: Mapping[str, Tensor]) -> None:
        """Refuse targets of a loss other than those that ``targets`` names.

        Raises:
            ValueError: with the names that are needed and those given.
        """
        if set(given) != set(self.targets):
            raise ValueError(
                f"besides the labels, the loss of {type(self).__name__} needs "
                f"{', '.join(self.targets) or 'nothing'}; got {', '.join(given) or 'nothing'}"
            )

    def see_training_fold(self, au_cells: Sequence[str]) -> None:
        """Called before every training; a model that learns from annotations overrides it.

        Args:
            au_cells: the AU cells (``Clip.aus``) of the fold's training clips only.
        """

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """Mean cross-entropy; a system whose paper defines another loss overrides it.

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64, class indices.
            targets: the tensors that ``targets`` names.

        Returns:
            A scalar.

        Raises:
            ValueError: if the targets are not those that ``targets`` names.
        """
        self.check_targets(targets)
        return F.cross_entropy(output.logits, labels)

    def fit_directly(self, labels: Tensor, **inputs: Tensor) -> None:
        """Learn from all training clips at once; a system with ``fits_directly`` overrides it.

        What ``forward`` needs afterwards is in buffers, and so in the state dict. No random
        numbers are drawn.

        Args:
            labels: (N,) int64, class indices.
            inputs: the tensors that ``inputs`` names, N of each.

        Raises:
            ValueError: if the system learns by gradients, or labels or inputs do not fit.
        """
        raise ValueError(
            f"{type(self).__name__} learns by gradients: step along those of its loss instead"
        )
