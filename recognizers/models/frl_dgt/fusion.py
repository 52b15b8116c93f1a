"""FRL-DGT's Transformer Fusion (3.2): local, global and full-face fusion of patches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_choice
from recognizers.models.frl_dgt.regions import crop
from recognizers.models.options import check_dropout

Fusion = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes that the fusion modules share.

    Attributes:
        width: C, length of an embedding vector.
        heads: h, attention heads.
        depth: Transformer layers of an Attn block.
        mlp_ratio: hidden width of their perceptrons, as a multiple of C.
        dropout: share of their values that training sets to 0.
        fusion: ``"before"`` attention, eq. 5-7, or ``"after"`` (Table 2, M4).

    Raises:
        ValueError: if a size does not fit.
    """

    width: int = 256
    heads: int = 8
    depth: int = 2
    mlp_ratio: int = 4
    dropout: float = 0.1
    fusion: Fusion = "before"

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.depth, self.mlp_ratio) < 1 or self.width % self.heads:
            raise ValueError(
                "width must be a multiple of heads, and these, depth and mlp_ratio 1 or more; got "
                f"width {self.width}, heads {self.heads}, depth {self.depth}, mlp_ratio "
                f"{self.mlp_ratio}"
            )
        check_dropout(self.dropout)
        check_choice("fusion", self.fusion, get_args(Fusion))


class TransformerLayer(nn.Module):
    """ViT's layer: attention and a perceptron, each after normalisation and with a shortcut.

    Shape: (B, n, C) to the same.
    """

    def __init__(self, width: int, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, sizes.mlp_ratio * width),
            nn.GELU(),
            nn.Dropout(sizes.dropout),
            nn.Linear(sizes.mlp_ratio * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        q, k, v = _split_heads(self.qkv(self.norm1(x)), self.heads)  # each (B, h, n, c)
        attended = F.scaled_dot_product_attention(q, k, v)
        attended = self.projection(attended.transpose(1, 2).flatten(2))
        x = x + F.dropout(attended, self.dropout, self.training)
        return x + F.dropout(self.mlp(self.norm2(x)), self.dropout, self.training)


def _split_heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, n, 3C) to queries, keys and values, each (B, h, n, c)."""
    q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


class _Lin(nn.Module):
    """Lin of eq. 5: over the n vectors of each head, (B, h, n, c) to (B, h, c).

    The paper says that it "corresponds to an averaging operation" when its weights are equal, so it
    weights vectors, not their elements.
    """

    def __init__(self, tokens: int, heads: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(tokens)  # as torch.nn.Linear
        self.weight = nn.Parameter(torch.empty(heads, tokens).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(heads).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bhnc,hn->bhc", x, self.weight) + self.bias[:, None]


class FusionBeforeAttention(nn.Module):
    """The paper's fusion layer (Figure 5b, eq. 5-7): n vectors become one.

    Batch normalisation is over the batch and the heads, with a mean and a scale for each of the n
    vectors, since softmax ignores a mean that all share. It replaces the division by the square
    root of c.

    Args:
        tokens: n.
        width: C.
        heads: h.

    Shape: (B, n, C) to (B, C), and the weights of the vectors (B, h, n), which add up to 1.
    """

    def __init__(self, tokens: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.lin = _Lin(tokens, heads)
        self.bn = nn.BatchNorm1d(tokens)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """See the class."""
        q, k, v = _split_heads(self.qkv(x), self.heads)  # each (B, h, n, c)
        # (5) W_raw = Lin([Q_1, ..., Q_m]) K^T
        w_raw = torch.einsum("bhc,bhnc->bnh", self.lin(q), k)
        # (6) head_k = Softmax(BN(W_raw)) V
        weights = self.bn(w_raw).softmax(1)
        heads = torch.einsum("bnh,bhnc->bhc", weights, v)
        # (7) F = Concat(head_1, ..., head_h)
        return heads.flatten(1), weights.transpose(1, 2)


class FusionAfterAttention(nn.Module):
    """Attention among all n vectors, then Lin makes them one (Figure 5a, M4).

    Arguments and shape as :class:`FusionBeforeAttention`, but None instead of weights.
    """

    def __init__(self, tokens: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.lin = _Lin(tokens, heads)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """See the class."""
        q, k, v = _split_heads(self.qkv(x), self.heads)
        return self.lin(F.scaled_dot_product_attention(q, k, v)).flatten(1), None


class FusionModule(nn.Module):
    """An Attn block and a fusion layer, for n vectors with learned position embeddings.

    Args:
        tokens: n.
        width: C.
        sizes: of the layers; its width is not used here.

    Shape: (B, n, C) to (B, C), and the fusion layer's weights (B, h, n), or None.
    """

    def __init__(self, tokens: int, width: int, sizes: Sizes) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.attn = nn.Sequential(*(TransformerLayer(width, sizes) for _ in range(sizes.depth)))
        self.norm = nn.LayerNorm(width)
        layer = FusionBeforeAttention if sizes.fusion == "before" else FusionAfterAttention
        self.fusion = layer(tokens, width, sizes.heads)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """See the class."""
        fused, weights = self.fusion(self.norm(self.attn(x + self.position)))
        return fused, weights


def patch_embedding(channels: int, patch_size: int, width: int) -> nn.Sequential:
    """Images (B, M, H, W) to their N patches' embedding vectors (B, N, C), row by row."""
    project = nn.Conv2d(channels, width, patch_size, stride=patch_size)
    return nn.Sequential(project, _ToTokens())


class _ToTokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class TransformerFusion(nn.Module):
    """From maps of a face and the boxes of its regions to one vector.

    A missing level is an average, which the paper calls a fusion of equal weights: without local
    fusion each region is the mean of its patches' embeddings, without global fusion the face is
    the mean of its regions' vectors.

    Args:
        channels: M of the maps.
        regions: K.
        image_size, crop_size, patch_size: sides in pixels of the maps, of a region's crop, of a
            patch, which divides both.
        sizes: of the layers.
        local_fusion, global_fusion, face_fusion: which levels there are (Table 2, M6-M8).

    Attributes:
        width: D of what it returns: 2 C, or C without full-face fusion.

    Raises:
        ValueError: if a side is not a multiple of the patch's.
    """

    def __init__(
        self,
        channels: int,
        regions: int,
        image_size: int,
        crop_size: int,
        patch_size: int,
        sizes: Sizes,
        *,
        local_fusion: bool = True,
        global_fusion: bool = True,
        face_fusion: bool = True,
    ) -> None:
        super().__init__()
        sides = (image_size, crop_size)
        if patch_size < 1 or any(side < patch_size or side % patch_size for side in sides):
            raise ValueError(
                "image_size and crop_size must be multiples of patch_size, got "
                f"{image_size}, {crop_size} and {patch_size}"
            )
        self.crop_size = crop_size
        width = sizes.width

        def embed() -> nn.Sequential:
            return patch_embedding(channels, patch_size, width)

        def fuse(tokens: int) -> FusionModule:
            return FusionModule(tokens, width, sizes)

        crop_tokens, face_tokens = (crop_size // patch_size) ** 2, (image_size // patch_size) ** 2
        self.embed = nn.ModuleList(embed() for _ in range(regions))
        local = [fuse(crop_tokens) for _ in range(regions)] if local_fusion else None
        self.local = None if local is None else nn.ModuleList(local)
        self.globally = fuse(regions) if global_fusion else None
        self.embed_face = embed() if face_fusion else None
        self.face = fuse(face_tokens) if face_fusion else None
        self.width = 2 * width if face_fusion else width

    def forward(self, maps: Tensor, boxes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse.

        Args:
            maps: (B, M, H, W), in about [-1, 1].
            boxes: (B, K, 4), as :func:`recognizers.models.frl_dgt.regions.crop` takes them.

        Returns:
            Features (B, D), global then full-face ones; and the weights of the fusion layers (eq.
            6), which Figure 7 shows, for the levels that exist: ``local_weights`` (B, K, h, N),
            ``global_weights`` (B, h, K) and ``face_weights`` (B, h, N').
        """
        crops = crop(maps, boxes, self.crop_size)  # (B, K, M, S, S)
        weights: dict[str, Tensor | None] = {}
        patches = [embed(x) for embed, x in zip(self.embed, crops.unbind(1), strict=True)]
        if self.local is None:
            vectors = torch.stack([x.mean(1) for x in patches], dim=1)  # (B, K, C)
        else:
            fused = [module(x) for module, x in zip(self.local, patches, strict=True)]
            vectors = torch.stack([vector for vector, _ in fused], dim=1)
            own = [weight for _, weight in fused if weight is not None]
            weights["local_weights"] = torch.stack(own, dim=1) if own else None
        if self.globally is None:
            parts = [vectors.mean(1)]
        else:
            vector, weights["global_weights"] = self.globally(vectors)
            parts = [vector]
        if self.embed_face is not None and self.face is not None:
            vector, weights["face_weights"] = self.face(self.embed_face(maps))
            parts.append(vector)
        known = {name: weight for name, weight in weights.items() if weight is not None}
        return torch.cat(parts, dim=1), known


def classifier(width: int, num_classes: int, sizes: Sizes) -> nn.Sequential:
    """The fully connected layers: two, the hidden one of C units."""
    return nn.Sequential(
        nn.Linear(width, sizes.width),
        nn.ReLU(),
        nn.Dropout(sizes.dropout),
        nn.Linear(sizes.width, num_classes),
    )
