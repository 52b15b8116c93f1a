"""t-SNE of the features that a fold's classifier reads (paper 000, 4.6.1)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch

from recognizers.explain.opening import FoldModel, OpenedRun

logger = logging.getLogger(__name__)

_PERPLEXITY = 30.0  # scikit-learn's own
_COMPONENTS = 50  # its documentation advises to reduce many features to about 50 first
_FEWEST = 4
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Embedding:
    """The clips of a run in two dimensions, as one fold's model sees them.

    Attributes:
        fold: name of the fold.
        rows: (N,) rows of the clips.
        held_out: (N,) bool: tested by the fold; its model has learned, or could have learned, from
            the others.
        points: (N, 2) float32.
        perplexity: t-SNE's perplexity.
    """

    fold: str
    rows: np.ndarray
    held_out: np.ndarray
    points: np.ndarray
    perplexity: float


def embed(run: OpenedRun, fold: FoldModel) -> Embedding:
    """Map the features of all clips under test to two dimensions, by one fold's model.

    Features of two folds come from two networks and have no common axes: in one t-SNE they would
    cluster by fold. The clips of other folds are there for comparison, marked as clips that this
    model may have learned from.

    Raises:
        ValueError: if there are fewer than four clips.
    """
    under_test = set(run.tested)
    rows = np.array([i for i, c in enumerate(run.clips.clips) if c.id in under_test])
    features, logits = [], []
    with torch.no_grad():
        for part in np.array_split(rows, -(-len(rows) // _AT_ONCE)):
            output = fold.model(**fold.read(part.tolist()))
            features.append(output.features.flatten(1).float().cpu().numpy())
            logits.append(output.logits.cpu())
    own = {row: i for i, row in enumerate(rows.tolist())}
    fold.check(torch.cat(logits)[[own[row] for row in fold.rows]], range(len(fold.rows)), run.path)
    held_out = np.isin(rows, fold.rows)
    points, perplexity = tsne(np.concatenate(features), run.seed)
    return Embedding(fold.name, rows, held_out, points, perplexity)


def tsne(features: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """scikit-learn's t-SNE, from the principal components.

    Args:
        features: (N, D).
        seed: of its optimiser.

    Returns:
        (N, 2) float32, and the perplexity: 30, or a third of the other clips if they are few.

    Raises:
        ValueError: if there are fewer than four clips.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count, width = features.shape
    if count < _FEWEST:
        raise ValueError(f"t-SNE needs {_FEWEST} clips or more, the run has {count}")
    if width > _COMPONENTS:
        features = PCA(min(_COMPONENTS, count), random_state=seed).fit_transform(features)
    perplexity = min(_PERPLEXITY, (count - 1) / 3)
    method = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return method.fit_transform(features.astype(np.float32)), perplexity
