"""MER-GCN: a 3D ConvNet's features read through a graph of AUs (Lo et al., MIPR 2020)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.models.au_gacn.model import CASME2_AUS, STPNet
from recognizers.models.au_graph import AUGraphRecognizer, GraphConvolution
from recognizers.models.base import Output
from recognizers.models.registry import register_model

_SLOPE = 0.2  # of the LeakyReLU between graph layers, Chen et al.'s


@register_model("mer_gcn")
class MERGCN(AUGraphRecognizer):
    """A graph convolution over AUs gives each AU a weight vector, which scores a clip's features.

    With A the normalised adjacency of N AUs and x the D features of a clip,

        H^0 = I,    H^{l+1} = f(A H^l W^l),    a = H^L x,    logits = V a + c.

    There is no published code. Known are a 3D ConvNet and graph convolutions over AU nodes, trained
    end to end (the paper's abstract); node features that "are not learned from the input image" and
    AUs mapped to emotions "through a simple linear layer" (its authors' next paper, AU-GACN, 4.4);
    and a loss without AUs, which AU-GACN adds (its 3.3). Chosen here:

    - The graph turns node features into classifiers of x as in Chen et al., "Multi-label image
      recognition with graph convolutional networks" (CVPR 2019), AU-GACN's reference [4]: two
      layers, f a LeakyReLU of slope 0.2 between them and nothing after the last.
    - H^0: an AU has no description but its number, hence I.
    - Edges: AU-GACN's, ``au_graph.au_edges``. A fresh model has none; ``see_training_fold`` sets
      them, and ``loss`` refuses to train without.
    - The 3D ConvNet: AU-GACN's STPNet (its Table 7) up to the average over time and place.

    Args:
        num_classes: number of classes C.
        image_size: side of the frames in pixels, a multiple of 16.
        num_frames: T, a multiple of 16.
        aus: AU numbers of the N nodes, for instance those annotated in the training data.
        width: D, channels of the backbone, a multiple of 4.
        graph_width: of H^1.
        edge_threshold: smallest conditional probability that gives two AUs an edge.
        subtract_onset: whether the network reads each frame's change since the first; else frames.

    Shape:
        - clip: (B, T, 3, image_size, image_size) in [0, 1]
        - output: ``logits`` (B, C), ``features`` (B, N), a; extras ``clip_features`` (B, D), x.

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Lo, Xie, Shuai, Cheng: MER-GCN: Micro-Expression Recognition Based on Relation Modeling "
        "with Graph Convolutional Networks. IEEE MIPR 2020"
    )

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
    ) -> None:
        super().__init__(
            num_classes, image_size, num_frames, aus, graph_width, edge_threshold, subtract_onset
        )
        layers = OrderedDict(STPNet(len(self.aus), width).named_children())
        del layers["aus"], layers["reshape"]
        self.backbone = nn.Sequential(OrderedDict(layers, flatten=nn.Flatten()))
        self.graph = nn.ModuleList(
            [GraphConvolution(len(self.aus), graph_width), GraphConvolution(graph_width, width)]
        )
        self.classifier = nn.Linear(len(self.aus), num_classes)

    def forward(self, *, clip: Tensor) -> Output:
        """Recognise clips; see the class for the shapes."""
        self.check_inputs(clip=clip)
        x = self.backbone(self.volume(clip))  # (B, D)
        h = torch.eye(len(self.aus), device=x.device)  # H^0
        h = F.leaky_relu(self.graph[0](h, self.adjacency), _SLOPE)  # H^1, (N, graph_width)
        h = self.graph[1](h, self.adjacency)  # H^2, (N, D)
        a = x @ h.T  # (B, N)
        return Output(logits=self.classifier(a), features=a, extras={"clip_features": x})
