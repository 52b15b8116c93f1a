"""Support vector machines as a module, and the base of recognizers with a fixed descriptor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mersynth.checks import check_choice
from recognizers.models.base import Output, Recognizer

Kernel = Literal["linear", "poly"]

_FOLDS = 5  # of the clips, for the scale
_NEVER = -1e4  # the logit of a class without training clips
_SCALES = (-7.0, 7.0)  # range of the logarithm of the scale


class OneVersusRest(nn.Module):
    r"""A support vector machine for every class against all others.

    .. math:: f_c(x) = \sum_s a_{cs} k(x_s, x) + b_c

    with the kernel :math:`k(x, y) = x \cdot y` (linear) or :math:`(\gamma x \cdot y + 1)^d` (poly),
    :math:`\gamma` one over the mean squared length of the training features. scikit-learn's SVC
    (libsvm) finds a and b. A linear machine is kept as one vector per class.

    The softmax of its output gives probabilities: ``logits = scale * f``. The scale maximises the
    likelihood of the training labels under machines fitted without them (five-fold; a class of one
    clip stays in all fits), with Platt's targets (1999), which lie within (0, 1) and keep the scale
    finite where all are right. One positive scale for all classes does not change their order
    (temperature scaling, Guo et al., ICML 2017). A class without a clip is never chosen.

    Before fitting, all classes are equally likely. Everything is kept in buffers.

    Args:
        num_classes: number of classes C.
        num_features: number of features D.
        kernel: ``"linear"`` or ``"poly"``.
        degree: d of the polynomial kernel.
        c: weight of the training errors against the width of the margin.

    Shape:
        - features: (B, D)
        - output: logits (B, C)

    Raises:
        ValueError: if an argument does not fit.
    """

    support: Tensor
    dual: Tensor
    intercept: Tensor
    gamma: Tensor
    scale: Tensor
    seen: Tensor

    def __init__(
        self, num_classes: int, num_features: int, kernel: Kernel, degree: int, c: float
    ) -> None:
        super().__init__()
        check_choice("kernel", kernel, get_args(Kernel))
        if degree < 1:
            raise ValueError(f"degree must be 1 or more, got {degree}")
        if not c > 0:
            raise ValueError(f"c must be above 0, got {c}")
        self.kernel, self.degree, self.c = kernel, degree, c
        self.register_buffer("support", torch.zeros(0, num_features))  # (S, D)
        self.register_buffer("dual", torch.zeros(num_classes, 0))  # (C, S)
        self.register_buffer("intercept", torch.zeros(num_classes))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("seen", torch.ones(num_classes, dtype=torch.bool))

    def forward(self, features: Tensor) -> Tensor:
        """Logits; see the class for the shapes."""
        similarity = features @ self.support.T  # (B, S)
        if self.kernel == "poly":
            similarity = (self.gamma * similarity + 1) ** self.degree
        decision = similarity @ self.dual.T + self.intercept
        return (self.scale * decision).masked_fill(~self.seen, _NEVER)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Fit the machines and their scale.

        Args:
            features: (N, D).
            labels: (N,) int64, class indices.

        Raises:
            ValueError: if fewer than two classes occur.
        """
        x = features.detach().double().cpu().numpy()
        y = labels.cpu().numpy()
        count = np.bincount(y, minlength=len(self.seen))
        if (count > 0).sum() < 2:
            raise ValueError(
                f"support vector machines need clips of two classes or more, got {len(y)} of "
                f"{(count > 0).sum()}"
            )
        gamma = 1 / max(float((x**2).sum(1).mean()), 1e-12)
        gram = x @ x.T
        if self.kernel == "poly":
            gram = (gamma * gram + 1) ** self.degree
        dual, intercept = self._machines(gram, y)
        scale = _scale(self._held_out(gram, y), y, count > 0)
        if self.kernel == "linear":  # one vector per class
            support, dual = dual @ x, np.eye(len(dual))
        else:
            used = np.flatnonzero(dual.any(0))
            support, dual = x[used], np.ascontiguousarray(dual[:, used])
        for name, value in (
            ("support", support),
            ("dual", dual),
            ("intercept", intercept),
            ("gamma", gamma),
            ("scale", scale),
            ("seen", count > 0),
        ):
            old = self.get_buffer(name)
            setattr(self, name, torch.as_tensor(value, dtype=old.dtype, device=old.device))

    def _machines(self, gram: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The factors a (C, N) and b (C,), zeros where a class has no clip."""
        from sklearn.svm import SVC

        dual = np.zeros((len(self.seen), len(y)))
        intercept = np.zeros(len(self.seen))
        for c in np.unique(y):
            # The seed has no effect, but without one SVC draws from numpy's global generator.
            machine = SVC(C=self.c, kernel="precomputed", random_state=0).fit(gram, y == c)
            dual[c, machine.support_] = machine.dual_coef_[0]
            intercept[c] = machine.intercept_[0]
        return dual, intercept

    def _held_out(self, gram: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Decisions (N, C) of machines that did not see the clip; NaN if it was in all fits.

        Clips of a class are dealt to the folds in turn, so that no random numbers are needed.
        """
        decisions = np.full((len(y), len(self.seen)), np.nan)
        part = np.full(len(y), -1)
        for c in np.unique(y):
            own = np.flatnonzero(y == c)
            if len(own) > 1:
                part[own] = np.arange(len(own)) % _FOLDS
        for number in range(_FOLDS):
            out, rest = part == number, part != number
            if out.any():
                dual, intercept = self._machines(gram[np.ix_(rest, rest)], y[rest])
                decisions[out] = gram[np.ix_(out, rest)] @ dual.T + intercept
        return decisions

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *rest: Any, **more: Any
    ) -> None:
        """Make room for as many support vectors as the state dict has."""
        for name in ("support", "dual"):
            value, own = state_dict.get(prefix + name), self.get_buffer(name)
            if isinstance(value, Tensor) and value.dim() == 2:
                rows, columns = (
                    value.shape if name == "support" else own.shape[:1] + value.shape[1:]
                )
                width = own.shape[1] if name == "support" else columns
                setattr(self, name, own.new_zeros(rows, width))
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)


def _scale(decisions: np.ndarray, y: np.ndarray, seen: np.ndarray) -> float:
    """The scale of maximum likelihood; 1 where no clip could be held out."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    known = ~np.isnan(decisions[:, 0])
    if not known.any():
        return 1.0
    f = decisions[known][:, seen]
    targets = (y[known, None] == np.flatnonzero(seen)).astype(float)
    targets = (targets * len(f) + 1) / (len(f) + seen.sum())  # n + 1 and 1 of n + C

    def loss(log_scale: float) -> float:
        scale = np.exp(log_scale)
        return float((logsumexp(scale * f, axis=1) - scale * (targets * f).sum(1)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_SCALES, method="bounded").x))


class DescriptorSVM(Recognizer):
    """Base of the systems that are support vector machines on a fixed descriptor.

    Args:
        num_classes: number of classes C.
        num_features: D, number of the descriptor's features.
        kernel: ``"linear"`` or ``"poly"``.
        degree: of the polynomial kernel.
        c: weight of the training errors against the width of the margin.

    Raises:
        ValueError: if an argument does not fit.
    """

    fits_directly: ClassVar[bool] = True

    def __init__(
        self, num_classes: int, num_features: int, kernel: Kernel, degree: int, c: float
    ) -> None:
        super().__init__(num_classes)
        self.machines = OneVersusRest(num_classes, num_features, kernel, degree, c)

    @abstractmethod
    def descriptor(self, **inputs: Tensor) -> Tensor:
        """From the tensors that ``inputs`` names to features (B, D)."""

    def forward(self, **inputs: Tensor) -> Output:
        """Recognise the tensors that ``inputs`` names; see the class for the shapes."""
        self.check_inputs(**inputs)
        features = self.descriptor(**inputs)
        return Output(logits=self.machines(features), features=features)

    def fit_directly(self, labels: Tensor, **inputs: Tensor) -> None:
        """Fit the machines to all training clips; see :meth:`Recognizer.fit_directly`.

        Raises:
            ValueError: if labels or inputs do not fit, or fewer than two classes occur.
        """
        self.check_inputs(**inputs)
        count = len(next(iter(inputs.values())))
        if labels.shape != (count,) or not ((labels >= 0) & (labels < self.num_classes)).all():
            raise ValueError(
                f"labels must be ({count},) in 0..{self.num_classes - 1}, got "
                f"{tuple(labels.shape)} with {labels.unique()[:8].tolist()}"
            )
        with torch.no_grad():
            self.machines.fit(self.descriptor(**inputs), labels)
