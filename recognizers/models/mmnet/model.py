"""MMNet (paper 001): motion patterns from the difference of frames, positions from the onset.

Li, Sui, Zhu and Zhao, "MMNet: Muscle motion-guided network for micro-expression recognition",
IJCAI 2022. What the paper leaves open (channels, normalisation, the stem) is as in the authors'
published code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.frames import draw_frame
from recognizers.models.imagenet import MEAN, STD
from recognizers.models.mmnet.layers import Blocks, CABlock, PCModule, PlainBlock
from recognizers.models.registry import register_model

TrainingFrames = Literal["paper", "published", "annotated"]

_RGB = ("red", "green", "blue")
_MADE_OF: dict[str, str] = {"paper": "near_{}", "published": "near_{}_published", "annotated": "{}"}
_NUM_FRAMES = 4  # 3.2: "from four frames around the labeled onset and apex frame"
_STRIDES = (1, 2, 2, 2)  # of the blocks
_REDUCTION = 16  # the stem's and the blocks' strides together


@register_model("mmnet")
class MMNet(Recognizer):
    """Continuous attention on apex minus onset, and a position calibration module on the onset.

    Rows of Table 3: the baseline is ``blocks="residual", pc_module=False``, *CA block* has
    ``pc_module=False`` alone, *PC module* ``blocks="residual"`` alone. Table 4's independent
    attention is ``blocks="independent"``; Table 5 varies ``num_layers`` and ``num_heads``.

    Args:
        num_classes: number of classes C.
        blocks: ``"continuous"``: CA blocks; ``"independent"``: CA blocks without the map of the
            block before; ``"residual"``: building blocks of ResNet18, which have no map.
        pc_module: whether face positions are added to the motion patterns.
        num_layers: N_L, encoder layers of the PC module.
        num_heads: N_H, heads of its self-attention.
        mlp_ratio: hidden width of its MLPs, as a multiple of its width.
        training_frames: which frames replace onset and apex in training mode, drawn anew for each
            sample by torch's generator: ``"paper"``: one of the four nearest to each (3.2);
            ``"published"``: one within 0.15 of a quarter of the way between them, as in the
            authors' code; ``"annotated"``: always these two, so that the inputs are images.
            (:mod:`recognizers.data.input_kinds.near_frames`.)
        stem_width: channels of the first convolution.
        widths: channels after the second one, and of the four blocks; the last is also the width of
            the PC module.
        image_size: height and width of the frames, a multiple of 16.

    Attributes:
        stem: maps the difference of frames to the first block's input.
        blocks: blocks of the main branch.
        pc_module: PC module of the subbranch, or None.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> model = MMNet(3, image_size=32, training_frames="annotated").eval()
        >>> output = model(onset=torch.rand(2, 3, 32, 32), apex=torch.rand(2, 3, 32, 32))
        >>> output.logits.shape, output.extras["attention_1"].shape
        (torch.Size([2, 3]), torch.Size([2, 1, 16, 16]))
    """

    paper = (
        "Li et al., MMNet: Muscle Motion-Guided Network for Micro-Expression Recognition, "
        "IJCAI 2022"
    )
    draws_one_frame_of = ("onset", "apex")
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        blocks: Blocks = "continuous",
        pc_module: bool = True,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_ratio: int = 4,
        training_frames: TrainingFrames = "paper",
        stem_width: int = 180,
        widths: Sequence[int] = (128, 128, 128, 256, 512),
        image_size: int = 224,
    ) -> None:
        super().__init__(num_classes)
        check_choice("blocks", blocks, get_args(Blocks))
        check_choice("training_frames", training_frames, get_args(TrainingFrames))
        _check_numbers(num_layers, num_heads, mlp_ratio, stem_width, widths, image_size)
        self.inputs = {
            name: InputSpec(
                _MADE_OF[training_frames].format(name),
                _RGB,
                (image_size, image_size),
                None if training_frames == "annotated" else _NUM_FRAMES,
            )
            for name in ("onset", "apex")
        }
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem_width, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(stem_width),
            nn.ReLU(),
            nn.Conv2d(stem_width, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        shapes = zip(widths[:-1], widths[1:], _STRIDES, strict=True)
        self.blocks = nn.ModuleList(
            PlainBlock(*shape)
            if blocks == "residual"
            else CABlock(*shape, continuous=blocks == "continuous")
            for shape in shapes
        )
        for module in (self.stem[3], *self.blocks.modules()):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        grid = image_size // _REDUCTION
        self.pc_module = (
            PCModule(grid, widths[-1], num_layers, num_heads, mlp_ratio) if pc_module else None
        )
        self.classifier = nn.Linear(widths[-1] * grid * grid, num_classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, *, onset: Tensor, apex: Tensor) -> Output:
        """Recognise.

        Args:
            onset: (B, 4, 3, H, W) in [0, 1], the onset and frames near it; with ``training_frames =
                "annotated"`` the onset alone, (B, 3, H, W). In evaluation mode only the onset is
                used.
            apex: likewise, the apex and frames near it.

        Returns:
            ``features``: F_M + E_pos, flattened, (B, 512 * 14 * 14) at the default size.
            ``extras``: ``attention_1`` ... ``attention_4``, the map Attn^i of each CA block, (B, 1,
            h, w) in [0, 1]; residual blocks have none.

        Raises:
            ValueError: if an input has another shape or leaves [0, 1].
        """
        self.check_inputs(onset=onset, apex=apex)
        first = (draw_frame(onset, self.training) - self.mean) / self.std
        second = (draw_frame(apex, self.training) - self.mean) / self.std
        x = self.stem(second - first)  # (B, 128, H / 2, W / 2)
        attention: Tensor | None = None
        extras: dict[str, Tensor] = {}
        for number, block in enumerate(self.blocks, start=1):
            x, attention = block(x, attention)
            if attention is not None:
                extras[f"attention_{number}"] = attention
        if self.pc_module is not None:
            x = x + self.pc_module(first)  # F_M + E_pos, (B, 512, H / 16, W / 16)
        features = x.flatten(1)
        return Output(self.classifier(features), features, extras)


def _check_numbers(
    num_layers: int,
    num_heads: int,
    mlp_ratio: int,
    stem_width: int,
    widths: Sequence[int],
    image_size: int,
) -> None:
    if min(num_layers, num_heads, mlp_ratio, stem_width) < 1:
        raise ValueError(
            "MMNet: num_layers, num_heads, mlp_ratio and stem_width must be 1 or more, got "
            f"{num_layers}, {num_heads}, {mlp_ratio} and {stem_width}"
        )
    if len(widths) != len(_STRIDES) + 1 or min(widths) < 1:
        raise ValueError(
            f"MMNet: widths must be {len(_STRIDES) + 1} numbers of channels, the first block's "
            f"input and the output of each block, got {list(widths)}"
        )
    if widths[-1] % num_heads:
        raise ValueError(
            f"MMNet: the last of widths must be a multiple of num_heads, got {widths[-1]} and "
            f"{num_heads}"
        )
    if image_size < _REDUCTION or image_size % _REDUCTION:
        raise ValueError(
            f"MMNet: image_size must be a positive multiple of {_REDUCTION}, got {image_size}"
        )
