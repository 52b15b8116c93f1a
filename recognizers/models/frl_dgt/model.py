"""FRL-DGT (paper 003): a learned displacement from onset to apex, fused by Transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output
from recognizers.models.frl_dgt.base import Regions, SelfSupervised, boxes_in, displace
from recognizers.models.frl_dgt.dgm import DisplacementGenerator, ScaleGradient, normalise
from recognizers.models.frl_dgt.fusion import Fusion, Sizes, TransformerFusion, classifier
from recognizers.models.frl_dgt.regions import REGIONS
from recognizers.models.registry import register_model

Displacement = Literal["learned", "flow", "normalised_flow", "dynamic_image"]
_RGB = ("red", "green", "blue")
_PAIR_FRAMES = 5  # of a clip, for random pairs: 20 ordered ones; more need more memory


@register_model("frl_dgt")
class FRLDGT(SelfSupervised):
    """FRL-DGT: onset, apex and DGM's displacement, cut into AU regions and fused.

    In training, DGM also learns from random pairs of each clip's frames (3.1), and the apex may be
    replaced (3.3), both drawn from torch's generator. Evaluation reads ``onset``, ``apex``,
    ``regions``, and ``flow`` or ``dynamic_image`` if DGM is replaced.

    Chosen here, since the paper leaves it open: DGM's layers
    (:mod:`recognizers.models.frl_dgt.dgm`); a face of three crops' width, 90 pixels each; Attn
    blocks as ViT's, with a depth of 2 for the small data; frames in RGB.

    Args:
        num_classes: number of classes C.
        displacement: ``"learned"`` by DGM; instead of it optical flow in pixels (Table 2, M0), flow
            with its longest vector at 1 (M1), or a dynamic image (M2). These belong to the
            annotated apex: they need ``random_pairs=0, random_apex=False, magnified=0``.
        regions: ``"au"``, the nine AU regions, or ``"patches"``, 3 x 3 equal ones (M5).
        fusion: ``"before"`` attention or ``"after"`` (M4).
        local_fusion, global_fusion, face_fusion: which fusions there are (M7, M8, M6).
        random_pairs: pairs per clip and step for DGM's self-supervision; 0: none (M3).
        random_apex: whether training draws from the frame before the apex, the apex and the next.
        magnified: probability that training takes the apex magnified by 4 (MagNet) instead.
        image_size, crop_size, patch_size: sides of the face, of a region and of a patch, in pixels;
            the last divides the others.
        width, heads, depth, mlp_ratio, dropout: see
            :class:`recognizers.models.frl_dgt.fusion.Sizes`.
        dgm_widths: channels of DGM's levels.
        alpha: DGM's largest displacement; half the image's side is 1.
        rec_weight, nm_weight, sm_weight: lambda_rec, lambda_nm and lambda_sm of eq. 4.
        gradient_scale: factor of the classifier's gradient into DGM.

    Shape:
        - the tensors that ``inputs`` names, in [0, 1] except flow
        - output: ``logits`` (B, C); ``features`` (B, 2 width), global then full-face; extras: the
          weights of the fusion layers (``TransformerFusion``), and of DGM ``displacement``, D of
          eq. 1 (B, 2, H, W), and ``rec``, ``nm`` and ``sm`` (B,) of eq. 1-3, means over a clip's
          pairs

    Raises:
        ValueError: if an option does not fit.

    Example:
        >>> model = FRLDGT(3, regions="patches", image_size=54, crop_size=18, patch_size=6).eval()
        >>> inputs = {name: torch.rand(1, *spec.shape) for name, spec in model.inputs.items()}
        >>> model(**inputs).logits.shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        displacement: Displacement = "learned",
        regions: Regions = "au",
        fusion: Fusion = "before",
        local_fusion: bool = True,
        global_fusion: bool = True,
        face_fusion: bool = True,
        random_pairs: int = 2,
        random_apex: bool = True,
        magnified: float = 0.5,
        image_size: int = 270,
        crop_size: int = 90,
        patch_size: int = 18,
        width: int = 256,
        heads: int = 8,
        depth: int = 2,
        mlp_ratio: int = 4,
        dropout: float = 0.1,
        dgm_widths: Sequence[int] = (32, 64, 128, 256),
        alpha: float = 0.2,
        rec_weight: float = 10.0,
        nm_weight: float = 1.0,
        sm_weight: float = 0.2,
        gradient_scale: float = 1e-6,
    ) -> None:
        super().__init__(
            num_classes, regions, random_pairs, rec_weight, nm_weight, sm_weight, gradient_scale
        )
        check_choice("displacement", displacement, get_args(Displacement))
        if not 0 <= magnified <= 1:
            raise ValueError(f"FRL-DGT: magnified is a probability in [0, 1], got {magnified}")
        if displacement != "learned" and (random_pairs or random_apex or magnified):
            raise ValueError(
                f"FRL-DGT: {displacement!r} belongs to the annotated apex: with it set "
                "random_pairs=0, random_apex=false and magnified=0, got "
                f"{random_pairs}, {random_apex} and {magnified}"
            )
        self.displacement, self.random_apex, self.magnified = displacement, random_apex, magnified
        self.inputs = self._inputs((image_size, image_size), regions)
        sizes = Sizes(width, heads, depth, mlp_ratio, dropout, fusion)
        self.dgm = DisplacementGenerator(dgm_widths, alpha) if displacement == "learned" else None
        self.fusion = TransformerFusion(
            2 * 3 + (3 if displacement == "dynamic_image" else 2),
            len(REGIONS),
            image_size,
            crop_size,
            patch_size,
            sizes,
            local_fusion=local_fusion,
            global_fusion=global_fusion,
            face_fusion=face_fusion,
        )
        self.classifier = classifier(self.fusion.width, num_classes, sizes)

    def _inputs(self, size: tuple[int, int], regions: Regions) -> dict[str, InputSpec]:
        specs = {"onset": InputSpec("onset", _RGB, size), "apex": InputSpec("apex", _RGB, size)}
        if regions == "au":
            specs["regions"] = InputSpec("au_regions", tuple(REGIONS), size)
        if self.displacement == "dynamic_image":
            specs["dynamic_image"] = InputSpec("dynamic_image", _RGB, size)
        elif self.displacement != "learned":
            specs["flow"] = InputSpec("flow", ("u", "v"), size, range=None)
        if self.random_pairs:
            specs["frames"] = InputSpec("clip", _RGB, size, _PAIR_FRAMES)
        if self.random_apex:
            specs["neighbours"] = InputSpec("apex_neighbours", _RGB, size, 2)
        if self.magnified:
            specs["magnified"] = InputSpec("magnified", _RGB, size)
        return specs

    def forward(self, *, onset: Tensor, apex: Tensor, **others: Tensor) -> Output:
        """Recognise; see the class for the inputs and the shapes."""
        self.check_inputs(onset=onset, apex=apex, **others)
        if self.training:
            apex = self._draw_apex(apex, others)
        extras: dict[str, Tensor] = {}
        if self.dgm is not None:
            pairs = self.random_pairs if self.training else 0
            d, terms = displace(self.dgm, onset, apex, others.get("frames"), pairs)
            extras = {"displacement": d, **terms}
            shown = ScaleGradient.apply(normalise(d), self.gradient_scale)
        elif self.displacement == "dynamic_image":
            shown = 2 * others["dynamic_image"] - 1
        else:
            flow = others["flow"]
            shown = normalise(flow) if self.displacement == "normalised_flow" else flow
        # Frames in [-1, 1], as the displacement.
        maps = torch.cat([2 * onset - 1, 2 * apex - 1, shown], dim=1)  # (B, 8, H, W)
        features, weights = self.fusion(maps, boxes_in(maps, others.get("regions")))
        return Output(self.classifier(features), features, {**extras, **weights})

    def _draw_apex(self, apex: Tensor, others: dict[str, Tensor]) -> Tensor:
        """The apex of each sample, one beside it, or the magnified one."""
        if self.random_apex:
            near = torch.cat([apex[:, None], others["neighbours"]], dim=1)  # (B, 3, 3, H, W)
            apex = near[torch.arange(len(apex)), torch.randint(3, (len(apex),))]
        if self.magnified:
            on = torch.rand(len(apex)) < self.magnified
            apex = torch.where(on.to(apex.device).view(-1, 1, 1, 1), others["magnified"], apex)
        return apex
