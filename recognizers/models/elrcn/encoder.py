"""VGG-16 as ELRCN's encoder of single frames (Simonyan and Zisserman, ICLR 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.models.imagenet import Weights, imagenet_weights

_BLOCKS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))  # layers, in multiples of the width
_PLACES = 7  # rows and columns that fc6 reads
_DROPOUT = 0.5
_VGG16 = (3, 64, 4096)  # channels, width and code width that ImageNet weights are for


class FrameEncoder(nn.Module):
    """VGG-16 up to fc7: 13 convolutions and two dense layers, each with a ReLU.

    Args:
        channels: of the pictures.
        width: of the first convolution, 64 in VGG-16.
        code_width: of the dense layers, 4096 in VGG-16.
        weights: ``"imagenet"`` or ``"none"``, random.
        freeze: do not train the convolutions and fc6.

    Shape:
        - input: (B, channels, H, W), sides of 32 or more; fc6 reads 7 x 7 positions, as 224 x 224
          pixels give them; maps of other sizes are averaged to that.
        - output: twice (B, code_width): with dropout and a gradient, for a classifier of frames;
          and without either, for the LSTM.

    Raises:
        ValueError: if ImageNet weights do not fit the sizes, or are unavailable.
    """

    def __init__(
        self, channels: int, width: int, code_width: int, weights: Weights, freeze: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for block in _BLOCKS:
            for factor in block:
                layers += [nn.Conv2d(before, factor * width, 3, padding=1), nn.ReLU(inplace=True)]
                before = factor * width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)  # named and numbered as torchvision's
        self.pool = nn.AdaptiveAvgPool2d(_PLACES)
        self.fc6 = nn.Linear(before * _PLACES**2, code_width)
        self.fc7 = nn.Linear(code_width, code_width)
        if weights == "imagenet":
            if (channels, width, code_width) != _VGG16:
                raise ValueError(
                    "ELRCN: weights=imagenet are for 3 channels, width=64 and code_width=4096, not "
                    f"for {channels}, {width} and {code_width}; set weights=none"
                )
            given = imagenet_weights("vgg16")
            own = {"classifier.0.": "fc6.", "classifier.3.": "fc7.", "features.": "features."}
            self.load_state_dict(
                {
                    own[prefix] + name.removeprefix(prefix): tensor
                    for name, tensor in given.items()
                    for prefix in own
                    if name.startswith(prefix)
                }
            )
        else:
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        if freeze:
            self.features.requires_grad_(False)
            self.fc6.requires_grad_(False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Encode; see the class for the shapes."""
        maps = self.pool(self.features(pictures)).flatten(1)  # (B, 25088)
        with torch.no_grad():
            code = self._dense(maps, dropout=False)
        return self._dense(maps, dropout=self.training), code

    def _dense(self, maps: Tensor, dropout: bool) -> Tensor:
        hidden = F.dropout(self.fc6(maps).relu(), _DROPOUT, dropout)
        return F.dropout(self.fc7(hidden).relu(), _DROPOUT, dropout)
