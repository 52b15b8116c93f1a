"""The AU relation graph: AU labels of clips, the edges that they show, graph convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mersynth.augment.au_sets import ORDER, au_sets
from mersynth.facs.action_units import ACTION_UNITS, parse_au_cell
from recognizers.models.base import InputSpec, Output, Recognizer


def check_aus(aus: Sequence[int]) -> tuple[int, ...]:
    """AU numbers of a graph's nodes, in order.

    Raises:
        ValueError: if there are none, one comes twice, or is not a code of FACS.
    """
    numbers = tuple(aus)
    unknown = [number for number in numbers if number not in ACTION_UNITS]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if not numbers or unknown or twice:
        raise ValueError(
            "aus must be different AU numbers of facs.ACTION_UNITS, one or more; got "
            f"{list(numbers)} (unknown: {unknown or 'none'}, twice: {twice or 'none'})"
        )
    return numbers


def au_labels(cells: Sequence[str], aus: Sequence[int]) -> Tensor:
    """Which AUs clips show, according to their annotation cells.

    An AU on one side counts as present, since a node has no sides. NaN is what the coder left open:
    the alternatives of ``R14A or 17A``, and every AU of a cell that names none (empty, ``?``).

    Args:
        cells: AU cells as annotation tables write them (``facs.parse_au_cell``).
        aus: N AU numbers.

    Returns:
        (len(cells), N) float32: 1 present, 0 absent, NaN unknown.

    Raises:
        ValueError: as ``check_aus``.

    Example:
        >>> au_labels(["L4+12", "4 or 9", ""], aus=(4, 9, 12)).tolist()
        [[1.0, 0.0, 1.0], [nan, nan, 0.0], [nan, nan, nan]]
    """
    numbers = check_aus(aus)
    labels = au_sets(cells).amax(2)[:, [ORDER.index(number) for number in numbers]]
    for row, cell in zip(labels, map(parse_au_cell, cells), strict=True):
        if not cell.groups:
            row[:] = torch.nan
        for event in (event for group in cell.groups if len(group) > 1 for event in group):
            if event.number in numbers and row[numbers.index(event.number)] == 0:
                row[numbers.index(event.number)] = torch.nan
    return labels


def au_edges(labels: Tensor, threshold: float) -> Tensor:
    """Edges between AUs that appear together in clips.

    The weight of an edge is the larger of the two conditional probabilities,

        e_ij = max(P(i | j), P(j | i)),    P(i | j) = M_ij / N_j,

    M_ij the clips that show both AUs, N_j those that show AU j, counted over clips where both are
    known; edges below the threshold are left out. AU-GACN's paper (3.2) only says that edges are
    gathered from the training set. The conditional probabilities and their threshold are those of
    its reference [4] (Chen et al., CVPR 2019), where they drop pairs seen by chance; the larger of
    the two makes the graph undirected, as the graph convolution of its reference [18] needs it.

    Args:
        labels: (M, N), 1 present, 0 absent, NaN unknown, of the **training** clips only.
        threshold: smallest probability, in [0, 1], that makes an edge.

    Returns:
        (N, N) float32 in [0, 1], symmetric, the diagonal zero; an AU that never occurs has no edge.

    Raises:
        ValueError: if there are no clips, none of them shows an AU of the graph, a label is
            neither 0, 1 nor NaN, or the threshold lies outside of [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold of AU edges must lie in [0, 1], got {threshold}")
    if labels.dim() != 2 or not len(labels):
        raise ValueError(
            "AU edges need labels (M, N) of one or more training clips, got the shape "
            f"{tuple(labels.shape)}"
        )
    known = ~labels.isnan()
    if not ((labels == 0) | (labels == 1) | ~known).all():
        raise ValueError("AU labels must be 0, 1 or NaN (unknown)")
    there = (labels == 1).float()  # (M, N)
    if not there.any():
        raise ValueError(
            f"AU edges: none of the {len(labels)} training clips is annotated with one of the "
            "graph's AUs; train on clips with AU annotations, or choose other aus"
        )
    both = there.T @ there  # M_ij
    count = there.T @ known.float()  # N_i where j is known, too
    given = both / count.clamp(min=1)  # P(j | i)
    edges = torch.maximum(given, given.T)
    edges = edges * ((edges >= threshold) & (edges > 0))
    return edges.fill_diagonal_(0)


def normalise_edges(edges: Tensor) -> Tensor:
    """Adjacency with self-loops, normalised: ``D^-1/2 (E + I) D^-1/2`` (Kipf and Welling 2017).

    Args:
        edges: (N, N), symmetric and not negative, without self-loops.

    Returns:
        (N, N) float32, symmetric.
    """
    looped = edges + torch.eye(len(edges), device=edges.device)
    scale = looped.sum(1).rsqrt()  # D^-1/2; the loop keeps every degree at 1 or more
    return scale[:, None] * looped * scale


class GraphConvolution(nn.Module):
    """A layer of eq. 1, before its non-linearity: ``Adj X W``; no bias, as printed.

    Args:
        inputs: d, features per node.
        outputs: d'.

    Shape:
        - nodes: (B, N, d); 3.2 writes X as d x N, where only N x d fits eq. 1.
        - adjacency: (N, N) or (B, N, N)
        - output: (B, N, d')
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        nn.init.xavier_uniform_(self.weight)  # Kipf and Welling's

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """(B, N, d) to (B, N, d')."""
        return adjacency @ nodes @ self.weight


class AUGraphRecognizer(Recognizer):
    """Base of the systems that read clips through a graph of AUs.

    A fresh graph has no edges; ``see_training_fold`` sets them, and they are kept with the weights.
    Without them there is no loss: a subclass with its own ``loss`` calls ``check_edges`` first.

    Args:
        num_classes: number of classes C.
        image_size: side of the frames in pixels, a multiple of 16.
        num_frames: frames of a clip, a multiple of 16.
        aus: AU numbers of the N nodes.
        graph_width: features of a node; only checked here.
        edge_threshold: smallest conditional probability that gives two AUs an edge.
        subtract_onset: whether the network reads each frame's change since the first.

    Attributes:
        aus: as given.
        adjacency: (N, N), see :func:`normalise_edges`.
        clips_seen: number of clips that the edges were computed from.

    Raises:
        ValueError: if an argument does not fit.
    """

    adjacency: Tensor
    clips_seen: Tensor

    def __init__(
        self,
        num_classes: int,
        image_size: int,
        num_frames: int,
        aus: Sequence[int],
        graph_width: int,
        edge_threshold: float,
        subtract_onset: bool,
    ) -> None:
        super().__init__(num_classes)
        for name, value in (("image_size", image_size), ("num_frames", num_frames)):
            if value < 16 or value % 16:
                raise ValueError(f"{name} must be a positive multiple of 16, got {value}")
        if graph_width < 1 or not 0 <= edge_threshold <= 1:
            raise ValueError(
                "graph_width must be 1 or more and edge_threshold in [0, 1], got "
                f"{graph_width} and {edge_threshold}"
            )
        size = (image_size, image_size)
        self.inputs = {"clip": InputSpec("clip", ("red", "green", "blue"), size, num_frames)}
        self.aus = check_aus(aus)
        self.edge_threshold, self.subtract_onset = edge_threshold, subtract_onset
        self.register_buffer("adjacency", torch.eye(len(self.aus)))  # self-loops alone
        self.register_buffer("clips_seen", torch.zeros((), dtype=torch.int64))

    def volume(self, clip: Tensor) -> Tensor:
        """A clip as its 3D ConvNet reads it: (B, T, 3, H, W) in [0, 1] to (B, 3, T, H, W)."""
        shown = clip - clip[:, :1] if self.subtract_onset else clip
        return shown.transpose(1, 2)

    def see_training_fold(self, au_cells: Sequence[str]) -> None:
        """Set the edges of the AU graph, replacing any set before.

        Args:
            au_cells: the AU cells (``Clip.aus``) of the fold's training clips only.

        Raises:
            ValueError: if there are no clips, or none is annotated with an AU of the graph.
        """
        edges = au_edges(au_labels(au_cells, self.aus), self.edge_threshold)
        self.adjacency.copy_(normalise_edges(edges))
        self.clips_seen.fill_(len(au_cells))

    def check_edges(self) -> None:
        """Refuse to train without edges.

        Raises:
            ValueError: if ``see_training_fold`` was not called.
        """
        if not self.clips_seen:
            raise ValueError(
                "the AU graph has no edges yet: call see_training_fold with the AU cells of the "
                "training clips first"
            )

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """Mean cross-entropy; see :meth:`Recognizer.loss`.

        Raises:
            ValueError: if the targets do not fit, or ``see_training_fold`` was not called.
        """
        self.check_edges()
        return super().loss(output, labels, **targets)
