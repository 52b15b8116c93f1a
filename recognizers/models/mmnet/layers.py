"""The layers of MMNet: blocks of its main branch, and the position calibration module."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Blocks = Literal["continuous", "independent", "residual"]


class CABlock(nn.Module):
    """Continuous attention block (2.2).

    Normalisation and the places of ReLU are as in the authors' published code.

    Args:
        before: channels C of F^i.
        after: channels of F_conv^i.
        stride: 2 halves height and width.
        continuous: whether the map of the previous block is the prior of this one's; else every
            block attends independently (Table 4).
    """

    def __init__(self, before: int, after: int, stride: int, continuous: bool = True) -> None:
        super().__init__()
        self.continuous = continuous
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)  # f_3x3
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 1, bias=False)  # f_1x1
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = shortcut(before, after, stride)  # f_1x1
        # The 1 x 1 kernel, smaller than CBAM's 7 x 7, makes the map local.
        self.attention = nn.Sequential(
            nn.Conv2d(2, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid()
        )

    def forward(self, x: Tensor, attention: Tensor | None) -> tuple[Tensor, Tensor]:
        """The block's features and its map.

        Args:
            x: F^i, (B, C, H, W).
            attention: Attn^{i-1}, (B, 1, H, W); None for the first block.

        Returns:
            CA(F^i, Attn^{i-1}), (B, C', h, w), and Attn^i, (B, 1, h, w).
        """
        # eq. 2: F_conv = f_1x1(f_3x3(F)) + f_1x1(F)
        main = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        f_conv = F.relu(main + self.shortcut(x))
        # eq. 1: Attn^i = sigma(f_1x1([P_Mc(F_conv); P_Ac(F_conv)])) * P_M(Attn^{i-1})
        pooled = torch.cat([f_conv.mean(1, keepdim=True), f_conv.amax(1, keepdim=True)], dim=1)
        own = self.attention(pooled)
        if self.continuous and attention is not None:
            own = own * F.max_pool2d(attention, 3, stride=2, padding=1)
        # eq. 3: CA(F^i, Attn^{i-1}) = F_conv * Attn^i
        return f_conv * own, own


class PlainBlock(nn.Module):
    """A building block of ResNet18 instead of a CA block: Table 3's baseline.

    Arguments as those of :class:`CABlock`.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = shortcut(before, after, stride)

    def forward(self, x: Tensor, attention: Tensor | None) -> tuple[Tensor, None]:
        """Features (B, C', h, w) and no map."""
        main = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(main + self.shortcut(x)), None


def shortcut(before: int, after: int, stride: int) -> nn.Module:
    """1x1 convolution with BatchNorm where the shape changes, else nothing."""
    if before == after and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


class PCModule(nn.Module):
    """Position calibration module (2.3): a shallow ViT over the pixels of a tiny onset frame.

    Args:
        grid: height and width of the frame, and of the embeddings (paper: 14).
        width: channels of the embeddings (paper: 512).
        num_layers: N_L.
        num_heads: N_H.
        mlp_ratio: hidden width of an encoder's MLP, as a multiple of ``width``.
    """

    def __init__(
        self, grid: int, width: int, num_layers: int, num_heads: int, mlp_ratio: int
    ) -> None:
        super().__init__()
        self.grid = grid
        self.patch_embedding = nn.Conv2d(3, width, 1)  # patches of 1 x 1 x 3
        self.position_embedding = nn.Parameter(torch.zeros(1, grid * grid, width))
        self.encoders = nn.ModuleList(
            EncoderLayer(width, num_heads, mlp_ratio) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # ViT's own start
        nn.init.trunc_normal_(self.position_embedding, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, onset: Tensor) -> Tensor:
        """E_pos, (B, width, grid, grid), of onset frames (B, 3, H, W)."""
        size = (self.grid, self.grid)
        small = F.interpolate(onset, size, mode="bilinear", antialias=True)
        patches = self.patch_embedding(small).flatten(2).transpose(1, 2)  # E_p (B, N, width)
        x = patches + self.position_embedding
        for encoder in self.encoders:
            x = encoder(x)
        return self.norm(x).transpose(1, 2).unflatten(2, size)


class EncoderLayer(nn.Module):
    """A layer of ViT's encoder: self-attention and MLP, each after a LayerNorm, with shortcuts."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) to the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(2, (3, self.num_heads, -1))  # (B, N, 3, heads, d)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        weight = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)  # (B, heads, N, N)
        return self.proj((weight @ v).transpose(1, 2).flatten(2))
