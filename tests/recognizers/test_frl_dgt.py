"""FRL-DGT: every equation against loops, its regions on mirrored faces, its rows of Table 2."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from mersynth.features import load_feature
from mersynth.motion.warp import warp
from mersynth.sources.phantom.population import clip_specs, render_clip
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import PhantomSubject
from mersynth.store import ClipStore
from mersynth.store_writer import StoreWriter
from recognizers.inputs import build_inputs
from recognizers.models import InputSpec, Recognizer, create_model
from recognizers.models.frl_dgt_dgm import (
    DisplacementGenerator,
    ScaleGradient,
    approximate_apex,
    dgm_losses,
    draw_pairs,
    in_pixels,
    normalise,
)
from recognizers.models.frl_dgt_fusion import (
    FusionAfterAttention,
    FusionBeforeAttention,
    FusionModule,
    Sizes,
    TransformerFusion,
    TransformerLayer,
)
from recognizers.models.frl_dgt_measure import agreement, flow_of, phantom_clips, supervise
from recognizers.models.frl_dgt_regions import (
    PAIRS,
    REGIONS,
    au_boxes,
    boxes_of,
    crop,
    even_boxes,
    region_maps,
)
from tests.recognizers.handful import (
    LABELS,
    learn_by_heart,
    model_config,
    model_configs,
    without_gradient,
)
from tests.recognizers.handful import phantom_clips as handful_of_clips

RGB = ("red", "green", "blue")
NAMES = list(REGIONS)
TINY: dict[str, Any] = {
    **{"image_size": 54, "crop_size": 18, "patch_size": 6, "width": 32, "heads": 4},
    **{"depth": 1, "mlp_ratio": 2, "dgm_widths": [8, 16]},
}
ANNOTATED = {"random_pairs": 0, "random_apex": False, "magnified": 0.0}
TABLE_2: dict[str, dict[str, Any]] = {
    "frl_dgt_flow": {"displacement": "flow", **ANNOTATED},
    "frl_dgt_normalised_flow": {"displacement": "normalised_flow", **ANNOTATED},
    "frl_dgt_dynamic_image": {"displacement": "dynamic_image", **ANNOTATED},
    "frl_dgt_no_self_supervision": {"random_pairs": 0},
    "frl_dgt_fusion_after_attention": {"fusion": "after"},
    "frl_dgt_patches": {"regions": "patches"},
    "frl_dgt_no_face_fusion": {"face_fusion": False},
    "frl_dgt_no_local_fusion": {"local_fusion": False},
    "frl_dgt_no_global_fusion": {"global_fusion": False},
    "frl_dgt": {},
}


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", name="face")
def _face() -> tuple[Tensor, np.ndarray]:
    """A phantom's frame (1, 3, 96, 96) and its landmarks (1, 68, 2)."""
    rendered = PhantomRenderer(PhantomSubject.sample(3), 96).render(torch.zeros(1, 20, 2))
    return rendered.frames, rendered.landmarks.numpy()


def sample(model: Recognizer, landmarks: np.ndarray, count: int = 6) -> dict[str, Tensor]:
    """Random frames, and the regions of a face."""
    inputs = {
        name: noise(count, *spec.shape, seed=i)
        for i, (name, spec) in enumerate(model.inputs.items())
    }
    if "regions" in inputs:
        size = model.inputs["regions"].size
        boxes = au_boxes((landmarks + 0.5) * (size[0] / 96) - 0.5)
        inputs["regions"] = region_maps(boxes, size).expand(count, -1, -1, -1)
    return inputs


def small(name: str = "frl_dgt", **options: Any) -> Recognizer:
    torch.manual_seed(0)
    return create_model(name, 3, **{**TINY, **options})


# --- regions -------------------------------------------------------------------------------------


def test_boxes_are_squares_that_hold_their_landmarks(face: tuple[Tensor, np.ndarray]) -> None:
    points = face[1][0]
    boxes = au_boxes(points)
    assert boxes.shape == (9, 4)
    for box, chosen in zip(boxes, REGIONS.values(), strict=True):
        assert box[2] - box[0] == pytest.approx(box[3] - box[1])
        own = points[list(chosen)]
        assert (own > box[:2]).all()
        assert (own < box[2:]).all()
    by_name = dict(zip(NAMES, boxes, strict=True))
    chin, mouth, brow = points[8], points[48:68], points[17:22]
    assert by_name["chin"][3] > chin[1]
    assert by_name["chin"][1] < mouth[:, 1].min()
    # Above the brow there is more forehead than margin.
    top, bottom = by_name["right_brow"][[1, 3]]
    assert brow[:, 1].min() - top > bottom - points[36:42, 1].max()
    lost = points.copy()
    lost[8] = np.nan
    assert np.isnan(au_boxes(lost)[NAMES.index("chin")]).all()


def test_maps_hold_the_pixels_whose_centres_lie_in_the_box() -> None:
    boxes = np.array([[1.5, 0.0, 3.0, 2.2], [-4.0, -3.0, -1.0, 9.0], [2.1, 2.1, 2.4, 2.4]])
    maps = region_maps(boxes, (4, 6))
    expected = np.zeros((3, 4, 6))
    expected[0, 0:3, 2:4] = 1
    expected[1, :, 0] = 1  # outside: the column next to it
    expected[2, 3, 3] = 1  # between pixels: the next one
    np.testing.assert_array_equal(maps.numpy(), expected)


def test_the_boxes_come_back_from_their_maps(face: tuple[Tensor, np.ndarray]) -> None:
    boxes = au_boxes(face[1])
    found = boxes_of(region_maps(boxes, (96, 96)))[0]
    clipped = np.clip(boxes[0], -0.5, 95.5) + 0.5  # from pixels' centres to their edges
    assert np.abs(found.numpy() - clipped).max() <= 1
    blank = torch.zeros(1, 9, 4, 6)
    assert_close(boxes_of(blank), torch.tensor([0.0, 0, 6, 4]).expand(1, 9, 4))


def test_a_mirrored_face_has_mirrored_crops(face: tuple[Tensor, np.ndarray]) -> None:
    frame, landmarks = face
    maps = region_maps(au_boxes(landmarks), (96, 96))
    crops = crop(frame, boxes_of(maps), 20)[0]
    mirrored = crop(frame.flip(-1), boxes_of(maps.flip(-1)), 20)[0]
    other = {name: name for name in NAMES}
    for right, left in PAIRS:
        other |= {right: left, left: right}
    for i, name in enumerate(NAMES):
        assert_close(mirrored[i], crops[NAMES.index(other[name])].flip(-1), atol=1e-5, rtol=0)
    unlike = crops[NAMES.index("left_brow")] - crops[NAMES.index("right_brow")]
    assert unlike.abs().mean() > 0.01


def test_crops_are_the_boxes_at_another_size() -> None:
    image = noise(2, 3, 12, 18)
    thirds = even_boxes((12, 18)).expand(2, -1, -1)
    same = crop(image[..., :12], even_boxes((12, 12)).expand(2, -1, -1), 4)
    for i, (y, x) in enumerate(np.ndindex(3, 3)):
        part = image[:, :, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        assert_close(same[:, i], part, atol=1e-6, rtol=0)
    assert crop(image, thirds, 5).shape == (2, 9, 3, 5, 5)
    box = torch.tensor([[[2.0, 4, 10, 12]], [[0.0, 0, 8, 8]]])
    halved = crop(image, box, 4)[:, 0]
    assert_close(halved[0], F.avg_pool2d(image[0, :, 4:12, 2:10], 2), atol=1e-6, rtol=0)
    assert_close(halved[1], F.avg_pool2d(image[1, :, :8, :8], 2), atol=1e-6, rtol=0)


# --- inputs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Four clips: the first has its apex at its end and no landmarks at first, the last none."""
    specs = clip_specs(subjects=2, counts={"anger": 2, "surprise": 2}, max_frames=8)
    clips = [spec.clip for spec in specs]
    clips[0] = replace(clips[0], apex=clips[0].offset)
    path = tmp_path_factory.mktemp("stores") / "phantom"
    with StoreWriter(path, clips, 48, {"source": "phantom", "licence": "none"}) as writer:
        for i, spec in enumerate(specs):
            frames, aus, landmarks = render_clip(spec, 48)
            if i == 0:
                landmarks[0] = np.nan
            writer.add(frames, aus, landmarks * np.nan if i == 3 else landmarks)
        return writer.finish()


def test_regions_are_those_of_the_first_landmarks(
    store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    data = build_inputs(store, {"r": InputSpec("au_regions", tuple(REGIONS), (96, 72))}, "three")
    assert "1 of 4 clips are left out, for they have no landmarks" in caplog.text
    assert data.inputs["r"].shape == (3, 9, 96, 72)
    for row, frame in ((0, 1), (1, 0), (2, 0)):
        points = store[row].landmarks[frame] + 0.5  # from pixels' centres to a share of the side
        boxes = au_boxes(points * [72 / 48, 96 / 48] - 0.5)
        assert_close(data.inputs["r"][row], region_maps(boxes, (96, 72)))
    without = store.filter(lambda clip: clip.id == store.clips[3].id)
    with pytest.raises(ValueError, match=r"no landmarks: none is left; .*intensities=v2"):
        build_inputs(without, {"r": InputSpec("au_regions", tuple(REGIONS), (48, 48))}, "three")


def test_neighbours_are_the_frames_beside_the_apex(store: ClipStore) -> None:
    spec = InputSpec("apex_neighbours", RGB, (48, 48), 4)
    found = build_inputs(store, {"n": spec}, "three").inputs["n"]
    for row, item in enumerate(store):
        assert item.clip.apex_index is not None
        last = len(item.frames) - 1
        for place, step in enumerate((-2, -1, 1, 2)):
            frame = item.frames[min(max(0, item.clip.apex_index + step), last)]
            expected = torch.from_numpy(frame.copy()).permute(2, 0, 1) / 255
            assert_close(found[row, place], expected)
    with pytest.raises(ValueError, match=r"num_frames must be even, .* got 3"):
        build_inputs(store, {"n": replace(spec, num_frames=3)}, "three")


def test_the_magnified_apex_is_the_stores_feature(store: ClipStore) -> None:
    own = {"magnified": {"method": "eulerian", "alpha": 2.0}}
    spec = {"m": InputSpec("magnified", RGB, (48, 48))}
    found = build_inputs(store, spec, "three", features=own).inputs["m"]
    kept = load_feature(store, "magnified", **own["magnified"])
    assert_close(found, torch.from_numpy(np.array(kept)))


# --- displacement --------------------------------------------------------------------------------


def loop_losses(onset: np.ndarray, apex: np.ndarray, d: np.ndarray) -> tuple[float, float, float]:
    """Eq. 1-3 of a pair, pixel by pixel; sampled bilinearly, the border goes on outside."""
    channels, h, w = onset.shape
    rec = nm = along_x = along_y = 0.0
    for y, x in np.ndindex(h, w):
        sx = min(max(x - d[0, y, x] * (w - 1) / 2, 0), w - 1)
        sy = min(max(y - d[1, y, x] * (h - 1) / 2, 0), h - 1)
        x0, y0 = min(int(sx), w - 2), min(int(sy), h - 2)
        fx, fy = sx - x0, sy - y0
        for c in range(channels):
            corner = onset[c, y0 : y0 + 2, x0 : x0 + 2]
            value = np.array([1 - fy, fy]) @ corner @ np.array([1 - fx, fx])
            rec += abs(value - apex[c, y, x]) / (channels * h * w)
        nm += np.hypot(*d[:, y, x]) / (w * h)
        if x:
            along_x += np.hypot(*(d[:, y, x] - d[:, y, x - 1])) / (h * (w - 1))
        if y:
            along_y += np.hypot(*(d[:, y, x] - d[:, y - 1, x])) / (w * (h - 1))
    return rec, nm, along_x + along_y


def test_losses_are_the_loops_of_equations_1_to_3() -> None:
    onset, apex = noise(2, 3, 6, 9), noise(2, 3, 6, 9, seed=4)
    d = 0.4 * noise(2, 2, 6, 9, seed=5) - 0.2
    terms = dgm_losses(onset, apex, d)
    for i in range(2):
        expected = loop_losses(*(v[i].double().numpy() for v in (onset, apex, d)))
        found = [terms[name][i].item() for name in ("rec", "nm", "sm")]
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_displacement_points_from_onset_to_apex() -> None:
    onset = F.avg_pool2d(noise(1, 3, 24, 34), 3, 1, 1)
    pixels = torch.zeros(1, 2, 24, 34)
    pixels[:, 0], pixels[:, 1] = 3, -2  # to the right and up
    d = pixels / torch.tensor([33 / 2, 23 / 2]).view(2, 1, 1)
    assert_close(in_pixels(d), pixels)
    apex = onset.roll((-2, 3), (2, 3))
    inner = (..., slice(3, -3), slice(4, -4))
    moved = approximate_apex(onset, d)
    assert_close(moved[inner], apex[inner], atol=1e-5, rtol=0)
    assert_close(warp(apex, pixels)[inner], onset[inner], atol=1e-5, rtol=0)  # as optical flow


def test_still_pairs_have_gradients_that_are_numbers() -> None:
    d = torch.zeros(1, 2, 5, 5, requires_grad=True)
    terms = dgm_losses(torch.zeros(1, 3, 5, 5), torch.ones(1, 3, 5, 5), d)
    (terms["rec"] + terms["nm"] + terms["sm"] + normalise(d).sum()).sum().backward()
    assert d.grad is not None
    assert d.grad.isfinite().all()
    assert normalise(d).eq(0).all()


def test_normalising_brings_the_longest_vector_to_1() -> None:
    d = torch.zeros(2, 3, 2, 4, 4)
    d[0, 1, :, 2, 3] = torch.tensor([0.03, -0.04])
    d[0, 2, 0, 1, 1] = 0.01
    d[1, 0, 1, 0, 0] = -0.2
    found = normalise(d)
    assert_close(found[0, 1, :, 2, 3], torch.tensor([0.6, -0.8]))
    assert found[0, 2, 0, 1, 1] == pytest.approx(0.2)  # the sequence keeps its course
    assert_close(found[1], 5 * d[1])
    assert_close(normalise(7 * d), found)


@pytest.mark.parametrize("widths", [(4,), (4, 6, 8)])
def test_dgm_gives_every_pixel_a_displacement_within_alpha(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dgm = DisplacementGenerator(widths, alpha=0.3)
    d = dgm(noise(2, 3, 27, 30), noise(2, 3, 27, 30, seed=4))
    assert d.shape == (2, 2, 27, 30)
    assert d.abs().max() < 0.01  # nearly nothing moves at first
    nn.init.normal_(dgm.head.weight, std=100)
    d = dgm(noise(2, 3, 27, 30), noise(2, 3, 27, 30, seed=4))
    assert d.abs().max().item() == pytest.approx(0.3, abs=1e-4)
    blocks = list(zip((6, *widths[:-1]), widths, strict=True))
    blocks += [(n + m, m) for m, n in pairwise(widths)]
    count = sum(9 * n * m + 9 * m * m + 4 * m for n, m in blocks) + 12 + 18 * widths[0]
    assert sum(p.numel() for p in dgm.parameters()) == count


def test_pairs_are_all_pairs_of_different_frames_equally_often() -> None:
    number = torch.arange(2)[:, None] * 10 + torch.arange(3)
    frames = number[:, :, None, None, None].float()
    torch.manual_seed(1)
    first, second = draw_pairs(frames, 600)
    assert first.shape == second.shape == (1200, 1, 1, 1)
    seen: dict[tuple[int, int], int] = {}
    for a, b in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True):
        seen[int(a), int(b)] = seen.get((int(a), int(b)), 0) + 1
    expected = {(c + i, c + j) for c in (0, 10) for i in range(3) for j in range(3) if i != j}
    assert set(seen) == expected
    assert min(seen.values()) > 60
    assert first.flatten()[:600].max() < 10  # the pairs of a clip stand together
    torch.manual_seed(1)
    assert torch.equal(draw_pairs(frames, 600)[0], first)


# --- fusion --------------------------------------------------------------------------------------


def stirred(module: nn.Module, seed: int = 2) -> nn.Module:
    """Weights and statistics of which mistakes would show; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            low = 0.5 if "running_var" in name else -0.5
            value.copy_(low + torch.rand(value.shape, generator=generator))
    return module.eval()


def numbers(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: v.double().numpy() for name, v in module.state_dict().items()}


def parts(p: dict[str, np.ndarray], x: np.ndarray, heads: int) -> list[np.ndarray]:
    """Queries, keys and values of a sample, each (n, C) cut into heads (h, n, c)."""
    qkv = np.split(x @ p["qkv.weight"].T + p["qkv.bias"], 3, axis=1)
    return [np.stack(np.split(v, heads, axis=1)) for v in qkv]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_fusion_before_attention_is_the_loop_of_equations_5_to_7() -> None:
    n, heads, c = 5, 3, 4
    layer = stirred(FusionBeforeAttention(n, heads * c, heads))
    x = noise(2, n, heads * c)
    with torch.no_grad():
        fused, weights = layer(x)
    assert weights.shape == (2, heads, n)
    assert_close(weights.sum(2), torch.ones(2, heads))
    p = numbers(layer)
    for i in range(2):
        q, k, v = parts(p, x[i].double().numpy(), heads)
        made = []
        for h in range(heads):
            lin = sum(p["lin.weight"][h, m] * q[h, m] for m in range(n)) + p["lin.bias"][h]
            raw = np.array([lin @ k[h, j] for j in range(n)])  # (5)
            normed = (raw - p["bn.running_mean"]) / np.sqrt(p["bn.running_var"] + 1e-5)
            share = softmax(normed * p["bn.weight"] + p["bn.bias"])
            np.testing.assert_allclose(weights[i, h].numpy(), share, atol=1e-5)
            made.append(sum(share[j] * v[h, j] for j in range(n)))  # (6)
        np.testing.assert_allclose(fused[i].numpy(), np.concatenate(made), atol=1e-5)  # (7)


def test_fusion_after_attention_is_attention_then_lin() -> None:
    n, heads, c = 5, 3, 4
    layer = stirred(FusionAfterAttention(n, heads * c, heads))
    x = noise(1, n, heads * c)
    with torch.no_grad():
        fused, weights = layer(x)
    assert weights is None
    p = numbers(layer)
    q, k, v = parts(p, x[0].double().numpy(), heads)
    made = []
    for h in range(heads):
        attended = softmax(q[h] @ k[h].T / np.sqrt(c)) @ v[h]
        made.append(p["lin.weight"][h] @ attended + p["lin.bias"][h])
    np.testing.assert_allclose(fused[0].numpy(), np.concatenate(made), atol=1e-5)


def test_a_transformer_layer_is_torchs_own() -> None:
    sizes = Sizes(width=12, heads=3, mlp_ratio=2, dropout=0.0)
    layer = stirred(TransformerLayer(12, sizes))
    theirs = nn.TransformerEncoderLayer(12, 3, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    names = {
        **{"qkv": "self_attn.in_proj_", "projection": "self_attn.out_proj."},
        **{"norm1": "norm1.", "norm2": "norm2.", "mlp.0": "linear1.", "mlp.3": "linear2."},
    }
    state = layer.state_dict()
    theirs.load_state_dict(
        {
            f"{v}{kind}": state[f"{k}.{kind}"]
            for k, v in names.items()
            for kind in ("weight", "bias")
        }
    )
    x = noise(2, 7, 12)
    assert_close(layer(x), theirs(x))  # in training mode: evaluation takes another path in torch


def test_one_sample_alone_can_be_trained() -> None:
    module = FusionModule(4, 12, Sizes(width=12, heads=3, depth=1))
    assert module(noise(1, 4, 12))[0].isfinite().all()


def test_levels_that_are_left_out_are_means() -> None:
    sizes = Sizes(width=8, heads=2, depth=1)
    maps = 2 * noise(2, 5, 18, 18) - 1
    boxes = even_boxes((18, 18)).expand(2, -1, -1)

    def made(**levels: bool) -> tuple[TransformerFusion, Tensor, dict[str, Tensor]]:
        torch.manual_seed(0)
        fusion = TransformerFusion(5, 9, 18, 6, 3, sizes, **levels).eval()
        return fusion, *fusion(maps, boxes)

    _, features, weights = made()
    assert features.shape == (2, 16)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    assert shapes == {
        "local_weights": (2, 9, 2, 4),
        "global_weights": (2, 2, 9),
        "face_weights": (2, 2, 36),
    }
    fusion, features, weights = made(local_fusion=False, global_fusion=False, face_fusion=False)
    assert weights == {}
    patches = []
    for k, (y, x) in enumerate(np.ndindex(3, 3)):
        part = maps[:, :, 6 * y : 6 * y + 6, 6 * x : 6 * x + 6]
        patches.append(fusion.embed[k](part).mean(1))
    assert_close(features, torch.stack(patches).mean(0), atol=1e-5, rtol=1e-4)
    # A patch is a square of the image, row by row.
    project = fusion.embed[0][0]
    second = maps[:, :, 0:3, 3:6].flatten(1) @ project.weight.flatten(1).T + project.bias
    assert_close(fusion.embed[0](maps[..., :6, :6])[:, 1], second, atol=1e-5, rtol=1e-4)


# --- the whole model -----------------------------------------------------------------------------


def test_the_sizes_of_section_3_3() -> None:
    model = create_model("frl_dgt", 3)
    state = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert model.inputs["onset"].size == (270, 270)
    assert state["fusion.local.8.position"] == (25, 256)  # N = 25, C = 256; K = 9
    assert "fusion.local.9.position" not in state
    assert state["fusion.embed.0.0.weight"] == (256, 8, 18, 18)
    assert state["fusion.globally.position"] == (9, 256)
    assert state["fusion.local.0.fusion.lin.weight"] == (8, 25)  # h = 8
    sequence = create_model("frl_dgt_s", 3)
    assert sequence.inputs["sequence"].num_frames == 10
    assert sequence.state_dict()["time.position"].shape == (9, 512)
    assert sequence.state_dict()["fusion.embed.0.0.weight"].shape == (256, 5, 18, 18)


@pytest.mark.parametrize("name", [*TABLE_2, "frl_dgt_s"])
def test_a_config_builds_trains_a_step_and_reaches_every_parameter(
    name: str, face: tuple[Tensor, np.ndarray]
) -> None:
    chosen = model_config(name)
    for option, value in TABLE_2.get(name, {}).items():
        assert chosen["options"][option] == value
    tiny = {"num_frames": 4} if name == "frl_dgt_s" else {}
    torch.manual_seed(0)
    model = create_model(chosen["name"], 3, **{**chosen["options"], **TINY, **tiny})
    inputs = sample(model, face[1])
    output = model(**inputs)
    assert output.logits.shape == (6, 3)
    width = 32 if name == "frl_dgt_no_face_fusion" else 64
    assert output.features.shape == (6, width)
    model.loss(output, LABELS).backward()
    assert without_gradient(model) == []
    own = chosen["training"]["optimizer"]["groups"] or {}
    learned = chosen["options"].get("displacement", "learned") == "learned"
    assert list(own) == (["dgm"] if learned else [])
    assert any(n.startswith("dgm.") for n, _ in model.named_parameters()) == learned


def test_all_configs_are_tested() -> None:
    assert set(model_configs("frl_dgt")) == {
        *TABLE_2,
        "frl_dgt_tiny",
        "frl_dgt_s",
        "frl_dgt_s_tiny",
    }
    for name in ("frl_dgt_tiny", "frl_dgt_s_tiny"):
        chosen = model_config(name)
        create_model(chosen["name"], 3, **chosen["options"])


def test_the_loss_is_cross_entropy_and_equation_4(face: tuple[Tensor, np.ndarray]) -> None:
    model = small(rec_weight=7.0, nm_weight=3.0, sm_weight=0.5).eval()
    inputs = sample(model, face[1])
    output = model(**inputs)
    d = output.extras["displacement"]
    assert_close(d, model.dgm(inputs["onset"], inputs["apex"]))
    terms = dgm_losses(inputs["onset"], inputs["apex"], d)
    expected = F.cross_entropy(output.logits, LABELS) + sum(
        w * terms[key].mean() for key, w in (("rec", 7.0), ("nm", 3.0), ("sm", 0.5))
    )
    assert_close(model.loss(output, LABELS), expected)
    with pytest.raises(ValueError, match="besides the labels: nothing; got aus"):
        model.loss(output, LABELS, aus=LABELS)
    flow = small(displacement="flow", **ANNOTATED).eval()
    output = flow(**sample(flow, face[1]))
    assert_close(flow.loss(output, LABELS), F.cross_entropy(output.logits, LABELS))


def test_random_pairs_teach_dgm_in_training_alone(face: tuple[Tensor, np.ndarray]) -> None:
    model = small(random_pairs=3, random_apex=False, magnified=0.0)
    inputs = sample(model, face[1])
    torch.manual_seed(5)
    output = model(**inputs)
    torch.manual_seed(5)
    first, second = draw_pairs(inputs["frames"], 3)
    onset, apex = torch.cat([inputs["onset"], first]), torch.cat([inputs["apex"], second])
    d = model.dgm(onset, apex)  # in one batch, as batch normalisation sees them
    terms = dgm_losses(onset, apex, d)
    for name, value in terms.items():
        means = [value[[i, *range(6 + 3 * i, 9 + 3 * i)]].mean() for i in range(6)]
        assert_close(output.extras[name], torch.stack(means))
    assert_close(output.extras["displacement"], d[:6])
    model.eval()
    before = model(**inputs)
    after = model(**{**inputs, "frames": 1 - inputs["frames"]})
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.extras["rec"], after.extras["rec"])


def test_the_classifiers_gradient_reaches_dgm_a_millionth_as_strong(
    face: tuple[Tensor, np.ndarray],
) -> None:
    gradients = {}
    for scale in (1.0, 1e-6):
        model = small(gradient_scale=scale, random_pairs=0, random_apex=False, magnified=0.0).eval()
        output = model(**sample(model, face[1]))
        F.cross_entropy(output.logits, LABELS).backward()
        gradients[scale] = [p.grad for p in model.dgm.parameters()]
        logits = output.logits
    for strong, weak in zip(gradients[1.0], gradients[1e-6], strict=True):
        assert strong.abs().max() > 0
        assert_close(weak, 1e-6 * strong, atol=1e-11, rtol=1e-3)
    assert torch.equal(logits, output.logits)
    x = torch.ones(3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: ScaleGradient.apply(v, 1.0), x.double())


def test_training_takes_a_frame_about_the_apex_or_the_magnified_one(
    face: tuple[Tensor, np.ndarray],
) -> None:
    model = small(random_pairs=0, magnified=0.4)
    inputs = sample(model, face[1], 1)
    model.dgm.eval()
    candidates = [inputs["apex"], *inputs["neighbours"].split(1, 1), inputs["magnified"]]
    shown = [model.dgm(inputs["onset"], c.reshape(1, 3, 54, 54)) for c in candidates]
    counts = [0, 0, 0, 0]
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(60):
            found = model(**inputs).extras["displacement"]
            same = [torch.allclose(found, d, atol=1e-9) for d in shown]
            assert sum(same) == 1
            counts[same.index(True)] += 1
        assert 12 < counts[3] < 36
        assert min(counts[:3]) > 4
        assert torch.equal(model.eval()(**inputs).extras["displacement"], shown[0])


def test_flow_is_read_as_it_is_or_normalised(face: tuple[Tensor, np.ndarray]) -> None:
    same = {}
    for kind in ("flow", "normalised_flow"):
        model = small(displacement=kind, **ANNOTATED).eval()
        inputs = sample(model, face[1])
        inputs["flow"] = 4 * inputs["flow"] - 2
        stronger = {**inputs, "flow": 3 * inputs["flow"]}
        same[kind] = torch.allclose(model(**inputs).logits, model(**stronger).logits, atol=1e-5)
        brought = {**inputs, "flow": normalise(inputs["flow"])}
        changed = not torch.allclose(model(**inputs).logits, model(**brought).logits, atol=1e-5)
        assert changed == (kind == "flow")
    assert same == {"flow": False, "normalised_flow": True}


def test_another_onset_or_apex_may_be_given(face: tuple[Tensor, np.ndarray]) -> None:
    model = small().eval()
    inputs = sample(model, face[1])
    before = model(**inputs).logits
    for name in ("onset", "apex"):
        moved = {**inputs, name: inputs["frames"][:, 2]}
        assert not torch.allclose(model(**moved).logits, before, atol=1e-4)


def test_mirrored_inputs_swap_what_the_regions_see(face: tuple[Tensor, np.ndarray]) -> None:
    model = small(face_fusion=False, displacement="dynamic_image", **ANNOTATED).eval()
    inputs = sample(model, face[1])
    crops: list[Tensor] = []
    for embed in model.fusion.embed:
        embed.register_forward_pre_hook(lambda _, args: crops.append(args[0]))
    model(**inputs)
    model(**{name: tensor.flip(-1) for name, tensor in inputs.items()})
    right, left = NAMES.index("right_mouth"), NAMES.index("left_mouth")
    assert_close(crops[9 + right], crops[left].flip(-1), atol=1e-5, rtol=0)
    assert_close(crops[9 + left], crops[right].flip(-1), atol=1e-5, rtol=0)


def test_a_sequence_is_pairs_with_its_onset(face: tuple[Tensor, np.ndarray]) -> None:
    model = small("frl_dgt_s", num_frames=5).eval()
    inputs = sample(model, face[1], 2)
    output = model(**inputs)
    sequence = inputs["sequence"]
    d = torch.stack([model.dgm(sequence[:, 0], sequence[:, t]) for t in range(1, 5)], dim=1)
    assert_close(output.extras["displacement"], d, atol=1e-6, rtol=1e-4)
    vectors = []
    longest = d.norm(dim=2).flatten(1).amax(1).view(2, 1, 1, 1)
    for t in range(4):
        maps = torch.cat([2 * sequence[:, t + 1] - 1, d[:, t] / longest], dim=1)
        vectors.append(model.fusion(maps, boxes_of(inputs["regions"]))[0])
    features, weights = model.time(torch.stack(vectors, dim=1))
    assert_close(output.features, features, atol=1e-4, rtol=1e-3)
    assert_close(output.extras["time_weights"], weights, atol=1e-4, rtol=1e-3)
    assert output.extras["local_weights"].shape == (2, 4, 9, 4, 9)
    rec = [dgm_losses(sequence[:, 0], sequence[:, t], d[:, t - 1])["rec"] for t in range(1, 5)]
    assert_close(output.extras["rec"], torch.stack(rec).mean(0))


@pytest.mark.parametrize("name", ["frl_dgt", "frl_dgt_s"])
def test_it_trains_in_mixed_precision(name: str, face: tuple[Tensor, np.ndarray]) -> None:
    model = small(name)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**sample(model, face[1]))
        loss = model.loss(output, LABELS)
    assert output.extras["displacement"].dtype == torch.float32
    loss.backward()
    assert without_gradient(model) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"displacement": "tvl1"}, "displacement must be one of learned, flow, normalised_flow"),
        ({"displacement": "flow"}, "set random_pairs=0, random_apex=false and magnified=0"),
        ({"regions": "faces"}, "regions must be one of au, patches, got 'faces'"),
        ({"fusion": "between"}, "fusion must be 'before' or 'after', got 'between'"),
        ({"random_pairs": -1}, "must be 0 or more, got -1"),
        ({"nm_weight": -1.0}, "must be 0 or more, got 2 and 1e-06, 10.0, -1.0, 0.2"),
        ({"magnified": 1.5}, r"probability in \[0, 1\], got 1.5"),
        ({"image_size": 256}, "multiples of patch_size, got 256, 90 and 18"),
        ({"patch_size": 0}, "multiples of patch_size"),
        ({"heads": 7}, "width must be a multiple of heads, .* got width 256, heads 7"),
        ({"depth": 0}, "1 or more; got .* depth 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"dgm_widths": []}, "widths must be one or more numbers"),
        ({"alpha": 0.0}, r"alpha lie in \(0, 1\]"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("frl_dgt", 3, **options)
    if set(options) & {"regions", "random_pairs"}:
        with pytest.raises(ValueError, match=message):
            create_model("frl_dgt_s", 3, **options)


def test_a_sequence_of_two_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="num_frames must be 3 or more, got 2"):
        create_model("frl_dgt_s", 3, num_frames=2)


@pytest.fixture(scope="module", name="handful")
def _handful() -> Tensor:
    """(6, 5, 3, 54, 54), the apex in the middle."""
    return handful_of_clips(54, 5)


@pytest.mark.parametrize("name", ["frl_dgt", "frl_dgt_s"])
def test_it_learns_a_handful_of_clips_by_heart(
    name: str, handful: Tensor, face: tuple[Tensor, np.ndarray]
) -> None:
    options = model_config(f"{name}_tiny")["options"]
    torch.manual_seed(0)
    model = create_model(name, 3, **{**options, "dropout": 0.0})
    inputs = sample(model, face[1])
    if name == "frl_dgt_s":
        inputs["sequence"] = handful[:, :4]
    else:
        inputs |= {"onset": handful[:, 0], "apex": handful[:, 2], "magnified": handful[:, 2]}
        inputs |= {"neighbours": handful[:, [1, 3]], "frames": handful}
    assert learn_by_heart(model, inputs, 20, 2e-3) == LABELS.tolist()


# --- the phantom's truth -------------------------------------------------------------------------


@pytest.mark.slow
def test_self_supervision_teaches_the_direction_of_the_true_flow() -> None:
    learned_from = phantom_clips(range(100, 124), 8, 64)
    unseen = phantom_clips(range(6000, 6006), 4, 64)
    torch.manual_seed(0)
    dgm = DisplacementGenerator((16, 32, 64)).eval()
    before = agreement(flow_of(dgm), unseen)
    assert abs(before.cosine) < 0.25
    supervise(dgm, learned_from.frames, 400)
    after = agreement(flow_of(dgm), unseen)
    assert after.cosine > 0.5
    assert after.error < 0.9 * before.error
    still = learned_from.frames[:, :1].expand_as(learned_from.frames)
    torch.manual_seed(0)
    taught_nothing = DisplacementGenerator((16, 32, 64))
    supervise(taught_nothing, still, 100)
    assert abs(agreement(flow_of(taught_nothing), unseen).cosine) < 0.35
