"""ELRCN: VGG-16 features of every frame's movement, read by an LSTM (Khor et al., FG 2018)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.elrcn.encoder import FrameEncoder
from recognizers.models.imagenet import Weights
from recognizers.models.options import check_counts
from recognizers.models.registry import register_model

Enrichment = Literal["none", "spatial", "temporal"]
FlowFrom = Literal["onset", "previous"]

#: What each encoder sees, and its channels.
_STREAMS: dict[str, dict[str, int]] = {
    "none": {"flow": 3},
    "spatial": {"stack": 5},
    "temporal": {"flow": 3, "strain": 3, "grey": 3},
}
_MADE_OF = {"onset": "", "previous": "step_"}
_SMALLEST = 32  # VGG-16 halves five times


def flow_image(flow: Tensor) -> Tensor:
    """Flow as the authors' code draws it: u, v and length, 16 grey levels per pixel around 128.

    Args:
        flow: (..., 2, H, W) x, y in pixels.

    Returns:
        (..., 3, H, W) in [0, 1].
    """
    length = torch.linalg.vector_norm(flow, dim=-3, keepdim=True)
    return ((16 * torch.cat([flow, length], dim=-3) + 128) / 255).clamp(0, 1)


@register_model("elrcn")
class ELRCN(Recognizer):
    """A sequence of VGG-16 codes (layer fc7) of the frames, an LSTM, a dense layer.

    The authors first train VGG-16 on single frames, then the LSTM on its codes. Here both are
    trained at once, each by its own gradients: the LSTM reads codes that are detached and
    computed without dropout, and ``loss`` has a cross-entropy for the frames and one for the clips.
    Unlike their code, the classes of clips compete in a softmax (theirs have sigmoids), and
    random weights of VGG-16 are He et al.'s (theirs are Glorot and Bengio's).

    The encoders read flow as a picture (:func:`flow_image`), its optical strain (1 is white) and
    the grey frame. A pixel p enters as (p - 0.5) / 0.25, close to ImageNet's own statistics, and
    0 where nothing moves.

    Args:
        num_classes: number of classes C.
        enrichment: ``"none"``: flow alone; ``"spatial"`` (ELRCN-SE): flow, strain and grey stacked
            to 5 channels; ``"temporal"`` (ELRCN-TE): an encoder for each, their codes joined.
        flow_from: the frame that flow, and with it strain, starts from: the ``"onset"``, or the
            ``"previous"`` frame, as in the published code.
        image_size: side of the frames in pixels, 32 or more.
        num_frames: T, frames of flow; the clip is interpolated to T + 1.
        width: channels of VGG-16's first layer.
        code_width: width of its dense layers.
        lstm_width: width of the LSTM.
        hidden: units of the dense layer before the classifier.
        weights: of the encoders, ``"imagenet"`` or ``"none"``, random. (The authors' are VGG-Face,
            which may not be passed on.)
        freeze: do not train the convolutions and fc6, as the published code does with flow alone;
            needs ``weights="imagenet"``.

    Shape:
        - movement: (B, T, 2, H, W): u, v in pixels; enriched (B, T, 4, H, W): u, v, strain, grey
        - output: ``logits`` (B, C), ``features`` (B, hidden); extras ``<encoder>_logits`` (B, T, C)
          of every encoder, flow, strain and grey, or stack.

    Raises:
        ValueError: if an argument does not fit, or ImageNet weights are unavailable.
    """

    paper = (
        "Khor, See, Phan, Lin: Enriched Long-term Recurrent Convolutional Network for Facial "
        "Micro-Expression Recognition. IEEE Automatic Face and Gesture Recognition 2018"
    )

    def __init__(
        self,
        num_classes: int,
        *,
        enrichment: Enrichment = "none",
        flow_from: FlowFrom = "onset",
        image_size: int = 224,
        num_frames: int = 9,
        width: int = 64,
        code_width: int = 4096,
        lstm_width: int = 3000,
        hidden: int = 128,
        weights: Weights = "none",
        freeze: bool = False,
    ) -> None:
        super().__init__(num_classes)
        check_choice("enrichment", enrichment, get_args(Enrichment))
        check_choice("flow_from", flow_from, get_args(FlowFrom))
        check_choice("weights", weights, get_args(Weights))
        check_counts(
            num_frames=num_frames,
            width=width,
            code_width=code_width,
            lstm_width=lstm_width,
            hidden=hidden,
        )
        if image_size < _SMALLEST:
            raise ValueError(f"ELRCN: image_size must be {_SMALLEST} or more, got {image_size}")
        if freeze and weights == "none":
            raise ValueError(
                "ELRCN: freeze keeps random weights if weights=none; set weights=imagenet or "
                "freeze=false"
            )
        self.enrichment = enrichment
        self.inputs = {"movement": _spec(enrichment, flow_from, image_size, num_frames)}
        streams = _STREAMS[enrichment]
        self.encoders = nn.ModuleDict(
            {
                name: FrameEncoder(channels, width, code_width, weights, freeze)
                for name, channels in streams.items()
            }
        )
        self.heads = nn.ModuleDict({name: nn.Linear(code_width, num_classes) for name in streams})
        self.lstm = nn.LSTM(len(streams) * code_width, lstm_width, batch_first=True)
        self.dense = nn.Linear(lstm_width, hidden)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, *, movement: Tensor) -> Output:
        """Recognise clips; see the class for the shapes."""
        self.check_inputs(movement=movement)
        codes, extras = [], {}
        for name, pictures in self._pictures(movement).items():
            trained, code = self.encoders[name]((pictures.flatten(0, 1) - 0.5) / 0.25)
            frames = pictures.shape[:2]
            extras[f"{name}_logits"] = self.heads[name](trained).unflatten(0, frames)
            codes.append(code.unflatten(0, frames))  # (B, T, 4096)
        _, (last, _) = self.lstm(torch.cat(codes, dim=2))  # (1, B, 3000)
        features = self.dense(last[0]).relu()  # (B, 128)
        return Output(self.classifier(features), features, extras)

    def _pictures(self, movement: Tensor) -> dict[str, Tensor]:
        """The input of every encoder, (B, T, 3 or 5, H, W) in [0, 1]."""
        flow = flow_image(movement[:, :, :2])
        if self.enrichment == "none":
            return {"flow": flow}
        strain, grey = movement[:, :, 2:].clamp(0, 1).split(1, dim=2)
        if self.enrichment == "spatial":
            return {"stack": torch.cat([flow, strain, grey], dim=2)}
        threefold = (-1, -1, 3, -1, -1)
        return {"flow": flow, "strain": strain.expand(threefold), "grey": grey.expand(threefold)}

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """Cross-entropy of the clips, and of the frames for every encoder.

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64, class indices of the clips, which their frames share.
            targets: none.

        Returns:
            A scalar.

        Raises:
            ValueError: if there are targets.
        """
        loss = super().loss(output, labels, **targets)
        for name in self.encoders:
            logits = output.extras[f"{name}_logits"]  # (B, T, C)
            each = labels[:, None].expand(logits.shape[:2])
            loss = loss + F.cross_entropy(logits.flatten(0, 1), each.flatten())
        return loss


def _spec(enrichment: str, flow_from: str, image_size: int, num_frames: int) -> InputSpec:
    kind, channels = (
        ("flow_clip", ("u", "v"))
        if enrichment == "none"
        else ("flow_strain_grey_clip", ("u", "v", "strain", "grey"))
    )
    size = (image_size, image_size)
    return InputSpec(_MADE_OF[flow_from] + kind, channels, size, num_frames, range=None)
