"""Options out of range are refused, by every system, with what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from recognizers.models import create_model, list_models
from tests.recognizers.models.handful import small_options

Refused = list[tuple[dict[str, Any], str]]

DROPOUT: Refused = [({"dropout": 1.0}, r"dropout must be a number, 0 or more and below 1, got 1.0")]
WEIGHTS: Refused = [
    ({"weights": "vggface"}, "weights must be one of imagenet, none, got 'vggface'")
]
ALEXNET: Refused = [
    ({"trunk": "vgg"}, "trunk must be one of original, torchvision, got 'vgg'"),
    ({"weights": "imagenet"}, "choose trunk=torchvision, or weights=none"),
    ({"image_size": 34}, "image_size must be 35 or more, got 34"),
    *WEIGHTS,
    *DROPOUT,
]
AU_GRAPH: Refused = [
    ({"num_frames": 8}, "num_frames must be a positive multiple of 16, got 8"),
    ({"image_size": 40}, "image_size must be a positive multiple of 16, got 40"),
    ({"image_size": 0}, "image_size must be a positive multiple of 16, got 0"),
    ({"width": 6}, "channels must be a positive multiple of 4, got 6"),
    ({"aus": []}, "one or more; got"),
    ({"aus": [4, 4]}, r"twice: \[4\]"),
    ({"aus": [3]}, r"unknown: \[3\]"),
    ({"graph_width": 0}, r"graph_width must be 1 or more .* got 0 and 0.4"),
    ({"edge_threshold": 1.5}, r"edge_threshold in \[0, 1\], got 16 and 1.5"),
]
FRL_DGT: Refused = [
    ({"regions": "faces"}, "regions must be one of au, patches, got 'faces'"),
    ({"fusion": "between"}, "fusion must be one of before, after, got 'between'"),
    ({"random_pairs": -1}, "must be 0 or more, got -1"),
    ({"nm_weight": -1.0}, "must be 0 or more, got 2, 1e-06 and 10.0, -1.0, 0.2"),
    ({"image_size": 50}, "multiples of patch_size, got 50, 18 and 6"),
    ({"patch_size": 0}, "multiples of patch_size"),
    ({"heads": 7}, "width must be a multiple of heads, .* got width 32, heads 7"),
    ({"depth": 0}, "1 or more; got .* depth 0"),
    ({"dgm_widths": []}, "widths must be one or more numbers"),
    ({"alpha": 0.0}, r"alpha lie in \(0, 1\]"),
    *DROPOUT,
]
REFUSED: dict[str, Refused] = {
    "au_gacn": [
        *AU_GRAPH,
        ({"pool_ratio": 0.0}, r"ratio must lie in \(0, 1\], got 0"),
        ({"me_weight": -1.0}, "me_weight must be 0 or more, got -1"),
    ],
    "bi_woof_svm": [
        ({"blocks": 0}, "blocks and bins must be 1 or more, got 0 and 8"),
        ({"image_size": 4}, r"image_size must be 5 \(blocks\) or more, got 4"),
        ({"kernel": "rbf"}, "kernel must be one of linear, poly, got 'rbf'"),
        ({"degree": 0}, "degree must be 1 or more, got 0"),
    ],
    "capsulenet": [
        ({"image_size": 32}, "image_size must be 33 or more with kernel_size=3, .*; got 32"),
        ({"image_size": 128, "kernel_size": 9}, "image_size must be 129 or more .*; got 128"),
        ({"routings": 0}, "must be 1 or more, got routings=0"),
        ({"training_frames": 0}, "must be 1 or more, got training_frames=0"),
        ({"primary_types": 0}, "must be 1 or more, got primary_types=0"),
        *WEIGHTS,
    ],
    "dssn": [
        ({"merger": "mean"}, "merger must be one of multiply, add, concatenate, got 'mean'"),
        *ALEXNET,
    ],
    "dual_branch": [
        ({"branches": "three"}, "branches must be one of dual, single, got 'three'"),
        ({"branches": "single"}, "set awm=false"),
        ({"loss_form": "mean"}, "loss_form must be one of paper, published"),
        ({"inference": "vote"}, "inference must be one of paper, published"),
        ({"weights": None}, "weights must be one of imagenet, none, got None"),
        ({"au_weight": 1.5}, r"au_weight must lie in \[0, 1\]"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\)"),
        ({"awm_hidden": 0}, "awm_hidden must be 1 or more"),
        ({"image_size": 32}, "image_size 64 or more"),
    ],
    "elrcn": [
        ({"enrichment": "both"}, "enrichment must be one of none, spatial, temporal, got 'both'"),
        ({"flow_from": "apex"}, "flow_from must be one of onset, previous, got 'apex'"),
        ({"image_size": 31}, "image_size must be 32 or more, got 31"),
        ({"num_frames": 0}, "must be 1 or more, got num_frames=0"),
        ({"lstm_width": 0}, "must be 1 or more, got lstm_width=0"),
        ({"freeze": True}, "freeze keeps random weights if weights=none; set weights=imagenet"),
        *WEIGHTS,
    ],
    "frl_dgt": [
        ({"displacement": "tvl1"}, "displacement must be one of learned, flow, normalised_flow"),
        ({"displacement": "flow"}, "set random_pairs=0, random_apex=false and magnified=0"),
        ({"magnified": 1.5}, r"probability in \[0, 1\], got 1.5"),
        *FRL_DGT,
    ],
    "frl_dgt_s": [({"num_frames": 2}, "num_frames must be 3 or more, got 2"), *FRL_DGT],
    "lbp_top_svm": [
        ({"radii": [1, 1]}, r"radii must be R_x, R_y and R_t of 1 or more, got \[1, 1\]"),
        ({"radii": [1, 0, 4]}, r"of 1 or more, got \[1, 0, 4\]"),
        ({"neighbours": 6}, "neighbours must be one of 4, 8, got 6"),
        ({"blocks": 0}, "blocks must be 1 or more, got 0"),
        ({"image_size": 3}, r"image_size must be 4 or more for 2 blocks and radii \[1, 1, 4\]"),
        ({"num_frames": 8}, "num_frames must be 9 or more for R_t = 4, got 8"),
        ({"c": -1.0}, "c must be above 0, got -1"),
    ],
    "mer_gcn": AU_GRAPH,
    "mmnet": [
        ({"blocks": "cbam"}, "blocks must be one of continuous, independent, residual, got 'cbam'"),
        ({"training_frames": "four"}, "training_frames must be one of paper, published, annotated"),
        ({"num_layers": 0}, "num_layers, .* must be 1 or more, got 0, 4, 4 and 12"),
        ({"num_heads": 3}, "a multiple of num_heads, got 32 and 3"),
        ({"widths": [16, 16, 32]}, r"widths must be 5 numbers of channels, .* got \[16, 16, 32\]"),
        ({"image_size": 40}, "image_size must be a positive multiple of 16, got 40"),
    ],
    "nmer": [
        ({"discriminator": "deep"}, "discriminator must be one of paper, published, got 'deep'"),
        ({"ramp": 0}, "ramp must be 1 or more"),
        ({"image_size": 32}, "image_size 64 or more, got 10000 and 32"),
        *WEIGHTS,
    ],
    "off_apexnet": [
        ({"image_size": 30}, "image_size must be a positive multiple of 4, got 30"),
        ({"image_size": 0}, "image_size must be a positive multiple of 4, got 0"),
        ({"hidden": 0}, "hidden must be 1 or more, got 0"),
        ({"dropout": -0.1}, r"dropout must be a number, 0 or more and below 1, got -0.1"),
        *DROPOUT,
    ],
    "resnet18": [
        ({"image": "onset"}, "image must be one of apex_minus_onset, apex, got 'onset'"),
        ({"image_size": 31}, "image_size must be 32 or more, got 31"),
        *WEIGHTS,
    ],
    "sssn": [
        ({"image": "flow"}, "image must be one of flow_magnitude, flow_strain, got 'flow'"),
        *ALEXNET,
    ],
    "stcnn": [
        ({"image_size": 4}, "image_size must be 5 or more .*; got 4 and 18"),
        ({"num_frames": 16}, "num_frames 17 or more.*; got 32 and 16"),
        ({"filters": 0}, "1 or more and dropout in .* got 0, 32 and 0.5"),
        ({"hidden": 0}, "got 8, 0 and 0.5"),
        ({"dropout": 1.0}, "got 8, 32 and 1.0"),
    ],
    "ststnet": [
        ({"padding": 0}, r"padding must be 1 .* or 2 .*, got 0"),
        ({"image_size": 3}, "image_size must be 4 or more, got 3"),
        *DROPOUT,
    ],
}


def test_every_system_is_asked() -> None:
    assert set(REFUSED) == set(list_models())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [(name, *case) for name, cases in REFUSED.items() for case in cases],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        create_model(name, 3, **{**small_options(name), **options})
