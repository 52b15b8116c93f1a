"""NMER (paper 002): separate classifiers for the face's halves, and help from macro-expressions.

Liu, Du, Zheng and Gedeon, "A Neural Micro-Expression Recognizer", FG 2019. What the paper leaves
open (activations, dropout, how strongly the domains' gradient is reversed) is as in the authors'
published code.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.imagenet import Weights, resnet18_layers
from recognizers.models.registry import register_model

Discriminator = Literal["paper", "published"]

_HIDDEN: dict[str, tuple[int, ...]] = {"paper": (64,), "published": (64, 32)}
_TRUNK = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
_TRUNK_WIDTH = 512
_PART_WIDTH = 64
_GAMMA = 10.0  # Ganin and Lempitsky 2015, the paper's reference [12]
_SMALLEST = 64  # at 32 or below, the last feature map has one row, which has no halves


@register_model("nmer")
class NMER(Recognizer):
    """ResNet18 on a flow image, average-pooled over its upper and its lower half.

    Rows of Table I: *Part + Adversarial + EMR* are the defaults, *Part + EMR* has
    ``adversarial=False``. Both are trained on micro- and macro-expressions together, which have the
    same classes.

    Args:
        num_classes: number of classes C.
        adversarial: whether a discriminator, after a layer that reverses the gradient, makes the
            features of micro- and macro-expressions alike (II.D).
        discriminator: ``"paper"``: two fully connected layers, the hidden width of 64 being the
            published code's; ``"published"``: three, of 64, 32 and 1, as in that code.
        ramp: N of lambda = 2 / (1 + exp(-10 i / N)) - 1, the strength of the gradient reversal at
            iteration i. (The published code counts on from fold to fold; here a model begins at 0.)
        emr: whether the flow image is computed after expression magnification and reduction
            (:mod:`recognizers.data.input_kinds.flow_rgb`).
        weights: ``"imagenet"`` or ``"none"``, random, of the trunk.
        image_size: height and width of the input, 64 or more.

    Attributes:
        trunk: ResNet18 without its pooling and classifier.
        reduce: first fully connected layer of each half, ``top`` and ``bottom``.
        classifiers: second fully connected layer, of ``top``, ``bottom`` and ``joined``.
        discriminator: predicts the domain, or None.
        iterations: how often the model was called in training mode.

    Raises:
        ValueError: if an option is out of its range, or ImageNet weights are unavailable.

    Example:
        >>> model = NMER(3, image_size=64).eval()
        >>> output = model(flow=torch.rand(2, 3, 64, 64))
        >>> output.logits.shape, output.features.shape
        (torch.Size([2, 3]), torch.Size([2, 128]))
    """

    paper = "Liu et al., A Neural Micro-Expression Recognizer, FG 2019"
    targets = ("domain",)
    iterations: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        adversarial: bool = True,
        discriminator: Discriminator = "paper",
        ramp: int = 10_000,
        emr: bool = True,
        weights: Weights = "none",
        image_size: int = 224,
    ) -> None:
        super().__init__(num_classes)
        check_choice("discriminator", discriminator, get_args(Discriminator))
        check_choice("weights", weights, get_args(Weights))
        if ramp < 1 or image_size < _SMALLEST:
            raise ValueError(
                f"NMER: ramp must be 1 or more and image_size {_SMALLEST} or more, got {ramp} and "
                f"{image_size}"
            )
        self.ramp = ramp
        self.inputs = {
            "flow": InputSpec(
                "emr_flow_rgb" if emr else "flow_rgb",
                ("red", "green", "blue"),
                (image_size, image_size),
            )
        }
        self.trunk = resnet18_layers(weights, *_TRUNK)
        self.reduce = nn.ModuleDict(
            {
                half: nn.Sequential(
                    nn.Linear(_TRUNK_WIDTH, _PART_WIDTH), nn.Tanh(), nn.Dropout(0.1)
                )
                for half in ("top", "bottom")
            }
        )
        widths = {"top": _PART_WIDTH, "bottom": _PART_WIDTH, "joined": 2 * _PART_WIDTH}
        self.classifiers = nn.ModuleDict(
            {name: nn.Linear(width, num_classes) for name, width in widths.items()}
        )
        self.discriminator = (
            _discriminator(2 * _PART_WIDTH, _HIDDEN[discriminator]) if adversarial else None
        )
        self.register_buffer("iterations", torch.tensor(0))
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and not name.startswith("trunk"):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    @property
    def reversal(self) -> Tensor:
        """lambda: the domains' gradient is multiplied by -lambda."""
        # lambda = 2 / (1 + exp(-gamma i / N)) - 1
        return 2 / (1 + torch.exp(-_GAMMA * self.iterations / self.ramp)) - 1

    def forward(self, *, flow: Tensor) -> Output:
        """Recognise.

        Args:
            flow: (B, 3, H, W) in [0, 1], a flow image in RGB; the eyes in the upper half.

        Returns:
            ``features``: of both halves, (B, 128). ``logits``: of the joined classifier.
            ``extras``: ``top_logits`` and ``bottom_logits`` (B, C), and ``domain_logits`` (B,),
            above 0 for macro-expressions, where there is a discriminator.

        Raises:
            ValueError: if the image has another shape or leaves [0, 1].
        """
        self.check_inputs(flow=flow)
        if self.training:
            self.iterations += 1
        x = self.trunk((flow - 0.5) / 0.5)  # (B, 512, H / 32, W / 32)
        half = x.shape[2] // 2  # of the 7 rows at 224 pixels, 3 are above, as in their code
        top = self.reduce["top"](x[:, :, :half].mean((2, 3)))  # (B, 64)
        bottom = self.reduce["bottom"](x[:, :, half:].mean((2, 3)))
        features = torch.cat([top, bottom], dim=1)  # (B, 128)
        extras = {
            "top_logits": self.classifiers["top"](top),
            "bottom_logits": self.classifiers["bottom"](bottom),
        }
        if self.discriminator is not None:
            reversed_features = ReverseGradient.apply(features, self.reversal)
            extras["domain_logits"] = self.discriminator(reversed_features)[:, 0]
        return Output(self.classifiers["joined"](features), features, extras)

    def losses(
        self, output: Output, labels: Tensor, *, domain: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The loss and its parts, means over the batch.

        Samples of both domains count in all of them (II.D: "supervised trained in a shared model").

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64.
            domain: (B,) int64, 0 for clips of the databases under test, 1 for those mixed in; not
                needed where there is no discriminator.

        Returns:
            Scalars ``"loss"``, ``"top"``, ``"bottom"``, ``"joined"`` and, where there is a
            discriminator, ``"domain"``.

        Raises:
            ValueError: if the domains are missing, or are not 0 or 1 for each sample.
        """
        losses = {
            "top": F.cross_entropy(output.extras["top_logits"], labels),
            "bottom": F.cross_entropy(output.extras["bottom_logits"], labels),
            "joined": F.cross_entropy(output.logits, labels),
        }
        if self.discriminator is not None:
            domains = output.extras["domain_logits"]
            wanted = _check_domain(domain, len(labels)).to(domains)
            losses["domain"] = F.binary_cross_entropy_with_logits(domains, wanted)
        # L = L_t + L_b + L_c - lambda L_adv, whose last term is the reversed gradient: the
        # discriminator lowers L_adv, the layers before it raise it by lambda.
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """The whole loss, a scalar; :meth:`losses` gives its parts and documents ``domain``."""
        return self.losses(output, labels, **targets)["loss"]


class ReverseGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by ``-coefficient`` (Ganin and Lempitsky 2015)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: Tensor) -> Tensor:
        """``x`` itself; ``coefficient`` is a scalar."""
        ctx.save_for_backward(coefficient)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of ``x``, reversed; ``coefficient`` has none."""
        (coefficient,) = ctx.saved_tensors
        return -coefficient.to(gradients[0]) * gradients[0], None


def _discriminator(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Features (B, width) to a logit (B, 1)."""
    layers: list[nn.Module] = []
    for after in hidden:
        layers += [nn.Linear(width, after), nn.ReLU(), nn.Dropout(0.5)]
        width = after
    return nn.Sequential(*layers, nn.Linear(width, 1))


def _check_domain(domain: Tensor | None, count: int) -> Tensor:
    fits = domain is not None and domain.shape == (count,)
    if domain is None or not fits or not bool(((domain == 0) | (domain == 1)).all()):
        found = "none" if domain is None else f"{domain.tolist()}"
        raise ValueError(
            f"domain: the adversary needs 0 (micro) or 1 (macro) for each of the {count} samples, "
            f"got {found}; give them or set adversarial=false"
        )
    return domain
