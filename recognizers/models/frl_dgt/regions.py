"""FRL-DGT's nine AU regions (3.2.1): boxes from landmarks, maps of them, and crops.

A model reads a region as a map of the frames' size, 1 within its box: what moves the frames also
moves the maps, so that crops stay right under flips, shifts and crops.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

REGIONS: dict[str, tuple[int, ...]] = {
    "right_brow": (*range(17, 22), *range(36, 42)),
    "left_brow": (*range(22, 27), *range(42, 48)),
    "frown": (20, 21, 22, 23, 27, 28, 39, 42),
    "right_cheek": (31, 36, 39, 40, 41),
    "left_cheek": (35, 42, 45, 46, 47),
    "nose": (*range(27, 36), 39, 42),
    "right_mouth": (4, 31, 33, 48, 49, 50, 57, 58, 59, 60),
    "left_mouth": (12, 33, 35, 52, 53, 54, 55, 56, 57, 64),
    "chin": (7, 8, 9, *range(48, 60)),
}
"""The landmarks (iBUG's, from 0) that each region holds; right is the subject's right.

The paper shows its regions in Figure 4 and describes each: #1 (two) and #2 "changes above the eyes,
such as eyebrow lifting and frowning", #3 (two) and #4 "the nose and lower eyelids", #5 (two) and #6
"the mouth, chin and cheeks", in this order here. The landmarks are chosen to match; they include
those of the small regions of AU R-CNN (Ma et al. 2019), the paper's reference [30], which it joins.
"""

PAIRS = (("right_brow", "left_brow"), ("right_cheek", "left_cheek"), ("right_mouth", "left_mouth"))
_NAMES = tuple(REGIONS)
_ABOVE = ("right_brow", "left_brow", "frown")  # the forehead wrinkles above the brows
_MARGIN = 0.1  # of a box's side, on each side: skin moves around landmarks, too


def au_boxes(landmarks: np.ndarray) -> np.ndarray:
    """The box of each region.

    A box is square, so that every crop shows the face at its true proportions: the square about the
    landmarks' bounding box, with a margin. Boxes of the brows grow upwards only.

    Args:
        landmarks: (..., 68, 2), x, y in pixels, the first pixel's centre at 0.

    Returns:
        (..., 9, 4): left, top, right, bottom, regions as ``REGIONS``; NaN where landmarks are.
    """
    boxes = []
    for name, chosen in REGIONS.items():
        points = landmarks[..., list(chosen), :]
        low, high = points.min(-2), points.max(-2)
        side = (high - low).max(-1, keepdims=True) * (1 + 2 * _MARGIN)
        centre = (low + high) / 2
        if name in _ABOVE:
            bottom = high[..., 1:] + _MARGIN * side
            centre = np.concatenate([centre[..., :1], bottom - side / 2], -1)
        boxes.append(np.concatenate([centre - side / 2, centre + side / 2], -1))
    return np.stack(boxes, -2)


def region_maps(boxes: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Boxes as maps.

    A box wholly outside the image keeps the pixels nearest to it, so that no region is empty.

    Args:
        boxes: (..., 4): left, top, right, bottom in pixels, the first pixel's centre at 0.
        size: height and width of the maps.

    Returns:
        (..., H, W) float32, 1 at pixels whose centre lies in the box, else 0.
    """
    inside = []
    for axis, length in ((1, size[0]), (0, size[1])):
        pixels = np.arange(length)
        first = np.clip(boxes[..., axis, None], None, length - 1)
        last = np.clip(boxes[..., axis + 2, None], 0, None)
        last = np.maximum(last, np.ceil(first))  # a box thinner than a pixel holds one
        inside.append((pixels >= first) & (pixels <= last))
    return torch.from_numpy((inside[0][..., :, None] & inside[1][..., None, :]).astype(np.float32))


def boxes_of(maps: Tensor) -> Tensor:
    """The boxes that region maps show.

    Of a left and a right region, the one on the image's left is taken as the subject's right: in a
    mirrored face the left brow has become a right one. A region that an augmentation has wholly
    erased becomes the whole image.

    Args:
        maps: (B, 9, H, W), regions as ``REGIONS``; a pixel above 0.5 belongs to the region.

    Returns:
        (B, 9, 4): left, top, right, bottom in pixels, the first pixel's left edge at 0.
    """
    inside = maps > 0.5
    columns, rows = inside.any(2), inside.any(3)  # (B, 9, W), (B, 9, H)
    edges = []
    for line in (columns, rows):
        first = line.float().argmax(2)
        last = line.shape[2] - line.flip(2).float().argmax(2)
        edges.append((first, last))
    (left, right), (top, bottom) = edges
    boxes = torch.stack([left, top, right, bottom], dim=2).to(maps.dtype)
    order = _by_side(boxes)
    return boxes.gather(1, order[..., None].expand_as(boxes))


def _by_side(boxes: Tensor) -> Tensor:
    """(B, 9): the box of each region; of a pair, the right one is further left."""
    order = torch.arange(len(REGIONS), device=boxes.device).repeat(len(boxes), 1)
    for pair in PAIRS:
        right, left = (_NAMES.index(name) for name in pair)
        middle = boxes[..., 0] + boxes[..., 2]
        swap = middle[:, right] > middle[:, left]
        order[:, right] = torch.where(swap, left, right)
        order[:, left] = torch.where(swap, right, left)
    return order


def even_boxes(size: tuple[int, int], rows: int = 3) -> Tensor:
    """The image cut into ``rows`` by ``rows`` equal boxes (Table 2, M5), row by row.

    Returns:
        (rows^2, 4): left, top, right, bottom in pixels, the first pixel's left edge at 0.
    """
    height, width = size[0] / rows, size[1] / rows
    return torch.tensor(
        [
            [x * width, y * height, (x + 1) * width, (y + 1) * height]
            for y in range(rows)
            for x in range(rows)
        ]
    )


def crop(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut boxes out and resize them to one size, averaging where they shrink.

    Args:
        maps: (B, M, H, W), any range.
        boxes: (B, K, 4): left, top, right, bottom in pixels, the first pixel's left edge at 0.
        size: side of the crops, in pixels.

    Returns:
        (B, K, M, size, size).
    """
    from torchvision.ops import roi_align  # seconds to import: inputs need no more than the boxes

    crops = roi_align(maps, list(boxes.to(maps)), size, aligned=True)
    return crops.unflatten(0, (len(maps), -1))
