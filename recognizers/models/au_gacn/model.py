"""AU-GACN: AU-assisted graph attention convolutional network (Xie et al., ACM MM 2020)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.models.au_gacn.p3d import P3DBottleneck
from recognizers.models.au_gacn.sagpool import SAGPool, readout
from recognizers.models.au_graph import AUGraphRecognizer, GraphConvolution
from recognizers.models.base import Output
from recognizers.models.registry import register_model

#: The AUs of CASME II's annotations: the paper's A = 19 (3.1).
CASME2_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 24, 25, 26, 38)


class FrameConv2d(nn.Conv2d):
    """A 1x1 2D convolution of every frame: (B, C, T, H, W) to (B, T, N, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """Frames go to the batch and come back."""
        frames = input.transpose(1, 2)
        return super().forward(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


class STPNet(nn.Sequential):
    """The backbone of 3.1, one child per line of Table 7: a clip to one logit per AU node.

    Chosen here, since Table 7 leaves it open: paddings keep the sizes it prints; strides of 2 are
    (1, 2, 2) where it prints L unchanged and (2, 1, 1) where the kernel is (2, 1, 1); Bottleneck-B
    and -C halve the image, as their output shapes say, with a stride of 2 in their spatial
    convolution; batch normalisation, and the reduction to a quarter of the channels before and
    restoration behind the (1, 3, 3) and (3, 1, 1) kernels, are P3D's [35].

    Args:
        num_aus: N, C in Table 7.
        width: channels, 64 in Table 7.

    Shape:
        - input: (B, 3, L, H, W); L, H and W multiples of 16
        - output: (B, N, 1), x of eq. 4: one logit per AU, which is also its node feature
    """

    def __init__(self, num_aus: int, width: int = 64) -> None:
        layers: list[tuple[str, nn.Module]] = [
            ("convolution", nn.Conv3d(3, width, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)),
            ("norm", nn.BatchNorm3d(width)),
            ("relu", nn.ReLU()),
            ("pool1", nn.MaxPool3d((2, 3, 3), stride=2, padding=(0, 1, 1))),
            ("bottleneck_a", P3DBottleneck("A", width)),
            ("pool2", _halve_time()),
            ("bottleneck_b", P3DBottleneck("B", width, stride=2)),
            ("pool3", _halve_time()),
            ("bottleneck_c", P3DBottleneck("C", width, stride=2)),
            ("pool4", _halve_time()),
            ("average", nn.AdaptiveAvgPool3d(1)),
            ("aus", FrameConv2d(width, num_aus, 1)),
            ("reshape", nn.Sequential(nn.Flatten(1, 2), nn.Flatten(2))),  # one frame is left
        ]
        super().__init__(OrderedDict(layers))


def _halve_time() -> nn.Module:
    return nn.MaxPool3d((2, 1, 1), stride=(2, 1, 1))


@register_model("au_gacn")
class AUGACN(AUGraphRecognizer):
    """AU-GACN: a clip's AU logits are the nodes of a graph, which is pooled and classified.

    Choices where the paper is silent or contradicts itself:

    - Edges: "gathered from the training set", no formula; ``au_graph.au_edges``. A fresh model has
      none; ``see_training_fold`` sets them, and ``loss`` refuses to train without.
    - Node features: one number per AU (3.1, Table 7), namely the logit of eq. 4. As in the paper,
      all nodes share the weights of eq. 1 and the readout ignores which node is which, so that the
      classifier cannot distinguish two AUs with the same edges; here the edges' weights
      distinguish them.
    - Pooling reads "the node embeddings of the last layer" for its scores, and follows a
      concatenation of the three layers: scores from the third, nodes from the three joined.
    - Width of the graph layers, p, the classifier: as large as the backbone; 0.5 (Lee et al.'s own
      code); one linear layer.
    - ``w`` of eq. 4 is "a learnable parameter": without a penalty it would go to 0 or below, and
      the AU loss with it. Here ``w = exp(-s)`` and the loss has ``+ s`` (Kendall et al., CVPR
      2018); s is a parameter that starts at 0, where eq. 4 has w = 1.
    - lambda of eq. 5: 1.

    Args:
        num_classes: number of classes C.
        image_size: side of the frames in pixels, a multiple of 16.
        num_frames: L, a multiple of 16.
        aus: AU numbers of the N nodes, for instance those annotated in the training data.
        width: channels of the backbone, a multiple of 4.
        graph_width: d' of the three graph layers.
        edge_threshold: smallest conditional probability that gives two AUs an edge.
        subtract_onset: whether the network reads each frame's change since the first; else frames.
        pool_ratio: p in (0, 1], the share of nodes that pooling keeps.
        learn_au_weight: whether w of eq. 4 is learned; else it is 1.
        me_weight: lambda of eq. 5.

    Shape:
        - clip: (B, L, 3, image_size, image_size) in [0, 1]
        - output: ``logits`` (B, C), ``features`` (B, 6 d'); extras ``au_logits`` (B, N), ``scores``
          (B, N) of the pooling in (-1, 1), and ``selected`` (B, K), the rows of the kept nodes.

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Xie, Lo, Shuai, Cheng: AU-assisted Graph Attention Convolutional Network for "
        "Micro-Expression Recognition. ACM Multimedia 2020"
    )
    targets = ("aus",)

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 256,
        num_frames: int = 16,
        aus: Sequence[int] = CASME2_AUS,
        width: int = 64,
        graph_width: int = 64,
        edge_threshold: float = 0.4,
        subtract_onset: bool = True,
        pool_ratio: float = 0.5,
        learn_au_weight: bool = True,
        me_weight: float = 1.0,
    ) -> None:
        super().__init__(
            num_classes, image_size, num_frames, aus, graph_width, edge_threshold, subtract_onset
        )
        if me_weight < 0:
            raise ValueError(f"me_weight must be 0 or more, got {me_weight}")
        self.me_weight = me_weight
        self.stpnet = STPNet(len(self.aus), width)
        self.graph = nn.ModuleList(
            GraphConvolution(inputs, graph_width) for inputs in (1, graph_width, graph_width)
        )
        self.pool = SAGPool(graph_width, pool_ratio)
        self.classifier = nn.Linear(6 * graph_width, num_classes)
        self.au_log_variance = nn.Parameter(torch.zeros(()), requires_grad=learn_au_weight)

    def forward(self, *, clip: Tensor) -> Output:
        """Recognise clips; see the class for the shapes."""
        self.check_inputs(clip=clip)
        x = self.stpnet(self.volume(clip))  # (B, N, 1)
        layers = []
        nodes = x
        for layer in self.graph:
            # (1)
            nodes = layer(nodes, self.adjacency).relu()  # (B, N, d')
            layers.append(nodes)
        pooled = self.pool(torch.cat(layers, 2), nodes, self.adjacency)
        features = readout(pooled.nodes)  # (B, 6 d')
        return Output(
            logits=self.classifier(features),
            features=features,
            extras={
                "au_logits": x.squeeze(2),
                "scores": pooled.scores,
                "selected": pooled.selected,
            },
        )

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """The AU-ME supervised loss (eq. 4 and 5).

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64, class indices.
            targets: ``aus`` (B, N): 1 present, 0 absent, NaN unknown, which is ignored
                (``au_graph.au_labels`` with ``model.aus``).

        Returns:
            A scalar; with a learned w it may be negative.

        Raises:
            ValueError: if the targets are not ``aus`` alone, their shape or a value does not fit,
                or ``see_training_fold`` was not called.
        """
        self.check_targets(targets)
        self.check_edges()
        x, y = output.extras["au_logits"], targets["aus"]
        if y.shape != x.shape or not ((y == 0) | (y == 1) | y.isnan()).all():
            raise ValueError(
                f"aus must be {tuple(x.shape)} of 0, 1 or NaN (unknown), got {tuple(y.shape)} "
                f"with values {y.unique()[:5].tolist()}"
            )
        s = self.au_log_variance
        w = (-s).exp()
        # (4), and + s
        terms = w * F.binary_cross_entropy_with_logits(x, y.nan_to_num(), reduction="none") + s
        known = ~y.isnan()
        l_au = (terms * known).sum() / known.sum().clamp(min=1)
        l_me = F.cross_entropy(output.logits, labels)
        # (5)
        return l_au + self.me_weight * l_me
