"""Dual branch (paper 000): separate branches for eyes and mouth, joined by their AUs.

Ruan, Lo, Shuai and Cheng, "Mimicking the Annotation Process for Recognizing the Micro Expressions",
ACM Multimedia 2022. What the paper leaves open (dropout, LayerNorm, where features are normalised,
AWM's detached input) is as in the authors' published code.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_choice
from mersynth.facs.regions import half_rows
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.dual_branch.layers import (
    WIDTH,
    AreaWeightedModule,
    branch_layers,
    head,
    resnet18,
    shared_layers,
)
from recognizers.models.dual_branch.losses import Form, au_similarity, classification_loss, wscl
from recognizers.models.imagenet import MEAN, STD, Weights, imagenet_weights
from recognizers.models.registry import register_model

_Region = Literal["face", "eyes", "mouth"]
_REGIONS: dict[str, tuple[_Region, ...]] = {"dual": ("eyes", "mouth"), "single": ("face",)}
_SMALLEST = 64  # below it, a branch's last feature map is one pixel, without spatial attention


@register_model("dual_branch")
class DualBranch(Recognizer):
    """ResNet18 with shuffle attention, its last two layers once for the eyes, once for the mouth.

    Rows of Table 4: *sb* is ``branches="single"``; rows without *AU* have ``au_weight=0``, those
    without *AWM* ``awm=False``; *w/o RR* is trained without
    :class:`mersynth.augment.RegionReplacing`, which changes samples before they come here.

    Args:
        num_classes: number of classes C.
        branches: ``"dual"``, or ``"single"``: one ResNet18 and one head for the whole face.
        awm: whether the regions' features are weighted (eq. 1-3); needs two branches.
        awm_hidden: h of eq. 1 (paper: 1024).
        attention: shuffle attention in every block; without it, plain ResNet18.
        au_weight: lambda of eq. 8, in [0, 1]; 0 leaves AU alignment out.
        temperature: tau of eq. 5.
        label_smoothing: of eq. 7, in [0, 1).
        loss_form: ``"paper"``: eq. 5 and 7 as printed; ``"published"``: as in the authors' code
            (:mod:`recognizers.models.dual_branch.losses`).
        inference: ``"paper"``: the sum of both heads' probabilities decides (3.6);
            ``"published"``: the sum of their logits.
        weights: ``"imagenet"`` or ``"none"``, random.
        image_size: height and width of the input, 64 or more.

    Attributes:
        base: layers 1 and 2, shared by the regions.
        branches: layers 3 and 4 of each region: ``eyes`` and ``mouth``, or ``face``.
        heads: the classifier of each region.

    Raises:
        ValueError: if an option is out of its range, or ImageNet weights are unavailable.

    Example:
        >>> model = DualBranch(3, image_size=64).eval()
        >>> output = model(image=torch.rand(2, 3, 64, 64))
        >>> output.logits.shape, output.features.shape
        (torch.Size([2, 3]), torch.Size([2, 1024]))
    """

    paper = (
        "Ruan et al., Mimicking the Annotation Process for Recognizing the Micro Expressions, "
        "ACM Multimedia 2022"
    )
    targets = ("au_set", "class_weights")
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        branches: Literal["dual", "single"] = "dual",
        awm: bool = True,
        awm_hidden: int = 1024,
        attention: bool = True,
        au_weight: float = 0.3,
        temperature: float = 0.1,
        label_smoothing: float = 0.1,
        loss_form: Form = "paper",
        inference: Form = "paper",
        weights: Weights = "none",
        image_size: int = 224,
    ) -> None:
        super().__init__(num_classes)
        check_choice("branches", branches, _REGIONS)
        check_choice("loss_form", loss_form, get_args(Form))
        check_choice("inference", inference, get_args(Form))
        check_choice("weights", weights, get_args(Weights))
        _check_numbers(awm_hidden, image_size, au_weight, temperature, label_smoothing)
        if awm and branches == "single":
            raise ValueError(
                "DualBranch: awm weighs two regions against each other; with branches=single set "
                "awm=false"
            )
        self.regions = _REGIONS[branches]
        self.au_weight, self.temperature = au_weight, temperature
        self.label_smoothing, self.loss_form, self.inference = label_smoothing, loss_form, inference
        self.inputs = {
            "image": InputSpec(
                "magnified_on_off",
                ("magnified_grey", "on_apex", "off_apex"),
                (image_size, image_size),
            )
        }
        given = imagenet_weights("resnet18") if weights == "imagenet" else None
        self.base = shared_layers(resnet18(attention, given))
        self.branches = nn.ModuleDict(
            {name: branch_layers(resnet18(attention, given)) for name in self.regions}
        )
        width = WIDTH * len(self.regions)
        self.awm = AreaWeightedModule(width, awm_hidden) if awm else None
        self.heads = nn.ModuleDict({name: head(num_classes) for name in self.regions})
        self.projection_dropout = nn.Dropout(0.1)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, *, image: Tensor) -> Output:
        """Recognise.

        Args:
            image: (B, 3, H, W) in [0, 1], made of ``magnified_on_off``; the eyes in the upper half.

        Returns:
            ``features``: X_F at length 1, (B, 1024), or (B, 512) for a single branch. ``logits``:
            by ``inference``; for ``"paper"`` the logarithm of the heads' mean probability.
            ``extras``: for each region ``<region>_logits`` (B, C) and ``<region>_weighted`` (B,
            512), which are X_eyes_w and X_mouth_w of eq. 3; with AWM ``area_weight``, X_weight of
            eq. 1; ``projection``, the features with dropout, for the contrastive loss.

        Raises:
            ValueError: if the image has another shape or leaves [0, 1].
        """
        self.check_inputs(image=image)
        x = (image - self.mean) / self.std
        # X_eyes, X_mouth. Each region has its own pass, since BatchNorm uses batch statistics.
        parts = [
            F.normalize(self.branches[name](self.base(_crop(x, name))), dim=1)
            for name in self.regions
        ]
        joined = torch.cat(parts, dim=1)  # (B, 1024)
        extras: dict[str, Tensor] = {}
        if self.awm is not None:
            joined, extras["area_weight"] = self.awm(joined)
        # eq. 3: X_eyes_w = X_F[:512], X_mouth_w = X_F[512:]
        logits = []
        for name, weighted in zip(self.regions, joined.split(WIDTH, dim=1), strict=True):
            logits.append(self.heads[name](weighted))
            extras |= {f"{name}_weighted": weighted, f"{name}_logits": logits[-1]}
        features = F.normalize(joined, dim=1)
        extras["projection"] = self.projection_dropout(features)
        return Output(self._decide(torch.stack(logits)), features, extras)

    def _decide(self, heads: Tensor) -> Tensor:
        """(R, B, C) logits of the heads to the model's logits (B, C)."""
        if self.inference == "published":
            return heads.sum(0)
        # argmax X_eyes_cls + X_mouth_cls, which are probabilities
        return heads.log_softmax(2).logsumexp(0) - math.log(len(heads))

    def losses(
        self,
        output: Output,
        labels: Tensor,
        *,
        class_weights: Tensor | None = None,
        au_set: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss and its parts.

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64.
            class_weights: (C,), eq. 6, from the fold's training clips only
                (:func:`mersynth.augment.class_weights`).
            au_set: (B, S, 2) as :func:`mersynth.augment.au_sets` makes it and ``RegionReplacing``
                mixes it, or (B, A), one column per AU; not needed where ``au_weight`` is 0.

        Returns:
            Scalars ``"loss"`` (eq. 8), ``"classification"`` (eq. 7) and, where ``au_weight`` is
            above 0, ``"wscl"`` (eq. 5).

        Raises:
            ValueError: if something needed is missing, or a shape does not fit.
        """
        if class_weights is None or class_weights.shape != (self.num_classes,):
            found = "none" if class_weights is None else f"{tuple(class_weights.shape)}"
            raise ValueError(
                f"class_weights: eq. 7 needs the weights of the {self.num_classes} classes, got "
                f"{found}; give mersynth.augment.class_weights of the training labels, or ones"
            )
        heads = [output.extras[f"{name}_logits"] for name in self.regions]
        l_cls = classification_loss(
            heads, labels, class_weights, self.label_smoothing, self.loss_form
        )
        if self.au_weight == 0:
            return {"loss": l_cls, "classification": l_cls}
        if au_set is None or len(au_set) != len(labels):
            found = "none" if au_set is None else f"{tuple(au_set.shape)}"
            raise ValueError(
                f"au_set: AU alignment needs the AUs of each of the {len(labels)} samples, got "
                f"{found}; give them or set au_weight=0"
            )
        w = au_similarity(au_set)
        l_wscl = wscl(output.extras["projection"], w, self.temperature, self.loss_form)
        # eq. 8: L_total = (1 - lambda) L_cls + lambda L_wscl
        l_total = (1 - self.au_weight) * l_cls + self.au_weight * l_wscl
        return {"loss": l_total, "classification": l_cls, "wscl": l_wscl}

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """Eq. 8, a scalar; :meth:`losses` gives its parts and documents ``targets``."""
        return self.losses(output, labels, **targets)["loss"]


def _crop(x: Tensor, region: _Region) -> Tensor:
    """(B, C, H, W) to the rows of a region."""
    if region == "face":
        return x
    return x[:, :, half_rows(region, x.shape[2])]


def _check_numbers(
    awm_hidden: int, image_size: int, au_weight: float, temperature: float, label_smoothing: float
) -> None:
    if awm_hidden < 1 or image_size < _SMALLEST:
        raise ValueError(
            f"DualBranch: awm_hidden must be 1 or more and image_size {_SMALLEST} or more, got "
            f"{awm_hidden} and {image_size}"
        )
    if not (0 <= au_weight <= 1 and temperature > 0 and 0 <= label_smoothing < 1):
        raise ValueError(
            "DualBranch: au_weight must lie in [0, 1], temperature above 0, label_smoothing in "
            f"[0, 1); got {au_weight}, {temperature} and {label_smoothing}"
        )
