"""Expression magnification and reduction: motion before and after, on textures and phantoms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mersynth.augment.emr import EMR, apex_motion
from mersynth.motion.magnify.checkpoint import SHIPPED
from mersynth.phantom.population import clip_specs, render_clip

SIZE = 48


def texture(shift: float | Tensor) -> Tensor:
    """(..., 3, S, S): waves of 7 to 20 pixels that have moved to the right by a shift (...)."""
    shift = torch.as_tensor(shift, dtype=torch.float32)[..., None, None]
    y, x = torch.meshgrid(torch.arange(SIZE).float(), torch.arange(SIZE).float(), indexing="ij")
    x = x - shift
    waves = [
        torch.sin(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / length + angle)
        for length, angle in ((7, 0.3), (9, 1.9), (11, -0.7), (14, 2.6), (20, 1.0))
    ]
    grey = 0.5 + 0.09 * torch.stack(waves).sum(0)
    return grey[..., None, :, :].expand(*grey.shape[:-2], 3, SIZE, SIZE).clone()


def travelling(steps: list[float], length: int) -> Tensor:
    """Clips (B, T, 3, S, S) that move by a step, in pixels, each frame."""
    return texture(torch.tensor(steps)[:, None] * torch.arange(length))


class Known:
    """A magnifier that obtains a share of the requested motion, on pictures of known motion."""

    def __init__(self, shifts: list[float], gain: float) -> None:
        self.shifts, self.gain, self.alphas = torch.tensor(shifts), gain, []

    def __call__(self, onset: Tensor, apex: Tensor, alpha: Tensor) -> Tensor:
        assert len(alpha) == len(self.shifts)
        self.alphas.append(alpha)
        return texture(self.gain * alpha * self.shifts)


def test_motion_of_a_shift_is_the_shift() -> None:
    onset = texture(0.0).expand(3, -1, -1, -1)
    shifts = torch.tensor([0.0, 0.7, 1.5])
    moved = apex_motion(onset, texture(shifts))
    assert torch.allclose(moved, shifts, atol=0.12)


def test_motion_is_the_mean_over_what_moves_most() -> None:
    # A quarter of the picture moves by 1.5 pixels: the top 5 % all lie in it.
    apex = texture(0.0)
    apex[:, :24, :24] = texture(1.5)[:, :24, :24]
    flow = apex_motion(texture(0.0)[None], apex[None], method="dis", share=0.05)
    assert flow.item() == pytest.approx(1.5, abs=0.25)
    assert apex_motion(texture(0.0)[None], apex[None], method="dis", share=1.0).item() < 0.9


@pytest.mark.parametrize(
    ("reduction", "frames"),
    [
        ("paper", [4, 5, 1]),
        (0.5, [4, 5, 1]),
        (0.25, [2, 2, 1]),
        (1.0, [8, 10, 1]),
        (None, [8, 10, 1]),
        # The motions per frame are 0.25, 0.2 and 0.3 pixels; 1.2 is reached at 5, 6 and never.
        ("nearest", [5, 6, 1]),
    ],
)
def test_frame_that_stands_for_the_apex(reduction: Any, frames: list[int]) -> None:
    clip = travelling([0.25, 0.2, 0.3], 12)
    emr = EMR(1.2, reduction, magnifier=None)
    out = emr({"clip": clip, "apex_index": torch.tensor([8, 10, 1]), "strength": ["macro"] * 3})
    assert emr.params["frame"].tolist() == frames
    assert torch.equal(out["onset"], clip[:, 0])
    assert torch.equal(out["apex"], clip[torch.arange(3), torch.tensor(frames)])
    assert torch.allclose(emr.params["before"], torch.tensor([2.0, 2.0, 0.3]), rtol=0.1)
    truth = torch.tensor([0.25, 0.2, 0.3]) * torch.tensor(frames)
    assert torch.allclose(emr.params["after"], truth, rtol=0.1)


@pytest.mark.parametrize("reduction", ["paper", "nearest", None])
def test_the_onset_may_lie_within_the_clip(reduction: Any) -> None:
    clip = travelling([0.25, 0.2], 12)
    batch = {"apex_index": torch.tensor([8, 10]), "strength": ["macro"] * 2}
    late = torch.cat([clip[:, 5:7], clip], 1)  # two frames of something else before
    emr, other = (EMR(1.2, reduction, magnifier=None) for _ in range(2))
    first = emr({**batch, "clip": clip})
    shifted = {"apex_index": batch["apex_index"] + 2, "onset_index": torch.tensor([2, 2])}  # type: ignore[operator]
    second = other({**batch, **shifted, "clip": late})
    assert torch.equal(other.params["frame"], emr.params["frame"] + 2)
    for name in ("onset", "apex"):
        assert torch.equal(first[name], second[name])
    assert "onset_index" not in second


def test_magnification_is_corrected_by_what_it_obtained() -> None:
    shifts, target = [0.25, 0.5], 1.0
    pair = {
        "onset": texture(torch.zeros(2)),
        "apex": texture(torch.tensor(shifts)),
        "strength": ["micro", "micro"],
    }
    asked, corrected = target / torch.tensor(shifts), target / torch.tensor(shifts) / 0.7
    rough = EMR(target, magnifier=Known(shifts, 0.7), refinements=0)
    rough(pair)
    assert torch.allclose(rough.params["alpha"], asked, rtol=0.1)
    assert torch.allclose(rough.params["after"], torch.full((2,), 0.7 * target), rtol=0.1)
    fine = EMR(target, magnifier=Known(shifts, 0.7))
    out = fine(pair)
    assert torch.allclose(fine.params["alpha"], corrected, rtol=0.1)
    assert torch.allclose(fine.params["after"], torch.full((2,), target), rtol=0.07)
    assert torch.equal(out["apex"], texture(0.7 * fine.params["alpha"] * torch.tensor(shifts)))


def test_alpha_stays_in_its_bounds() -> None:
    shifts = [0.0, 0.5, 2.0]
    known = Known(shifts[:2], 1.0)
    emr = EMR(1.2, magnifier=known, alpha_max=2.0)
    apex = texture(torch.tensor(shifts))
    out = emr({"onset": texture(torch.zeros(3)), "apex": apex, "strength": ["micro"] * 3})
    assert emr.params["alpha"].tolist() == [2.0, 2.0, 1.0]
    assert torch.equal(out["apex"][2], apex[2])  # moved more than wanted: untouched
    assert len(known.alphas) == 2


def mixed_batch() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "clip": travelling([0.1, 0.4], 9),
        "apex_index": torch.tensor([4, 8]),
        "strength": ["micro", "macro"],
        "aus": torch.rand(2, 9, 20, generator=generator) * 0.3,
        "landmarks": torch.rand(2, 9, 68, 2, generator=generator) * SIZE,
        "label": torch.tensor([3, 1]),
        "name": ["a", "b"],
    }


def test_annotations_come_along() -> None:
    batch = mixed_batch()
    batch["aus"][0, 4, :3] = torch.tensor([torch.nan, 0.9, 0.0])
    emr = EMR(0.8, magnifier=Known([0.4], 1.0))
    out = emr(batch)
    alpha = emr.params["alpha"][0]
    assert alpha == pytest.approx(2.0, rel=0.15)
    assert emr.params["frame"].tolist() == [4, 4]
    first, peak = batch["landmarks"][0, 0], batch["landmarks"][0, 4]
    assert torch.allclose(out["landmarks"][0, 1], first + alpha * (peak - first))
    assert torch.equal(out["landmarks"][1], batch["landmarks"][1, [0, 4]])
    assert torch.equal(out["aus"][1], batch["aus"][1, [0, 4]])
    still, strong = batch["aus"][0, 0], batch["aus"][0, 4]
    assert out["aus"][0, 1, 0].isnan()
    assert out["aus"][0, 1, 1] == 1.0  # clipped
    assert out["aus"][0, 1, 2] == 0.0
    wanted = (still + alpha * (strong - still)).clamp(0, 1)
    assert torch.allclose(out["aus"][0, 1, 1:], wanted[1:])
    assert "clip" not in out
    assert "apex_index" not in out
    assert out["name"] == ["a", "b"]
    assert torch.equal(out["label"], batch["label"])


def test_replay_takes_the_same_frames_and_alphas() -> None:
    batch = mixed_batch()
    emr = EMR(0.8, "nearest", "eulerian")
    first = emr(batch)
    params = emr.params
    again = emr(batch, params=params)
    assert torch.equal(first["apex"], again["apex"])
    other = {**batch, "clip": 1 - batch["clip"]}
    negative = emr(other, params=params)
    # A linear magnifier maps the negative to the negative.
    assert torch.allclose(negative["apex"], 1 - first["apex"], atol=1e-5)
    assert torch.equal(emr.params["alpha"], params["alpha"])
    assert params["alpha"][0] > 1


@pytest.fixture(scope="module")
def phantom() -> dict[str, Any]:
    """Micro and macro clips of subjects that no shipped weights were trained on."""
    each = 4
    clips, places, strength = [], [], []
    for kind in ("micro", "macro"):
        counts = {"happiness": each, "anger": each, "surprise": each}
        specs = clip_specs(
            seed=5, subjects=each, counts=counts, strength=kind,  # type: ignore[arg-type]
            first_subject=6200, fps=40.0, max_frames=16,
        )  # fmt: skip
        for spec in specs:
            frames, _, _ = render_clip(spec, 128)
            padded = np.concatenate([frames, np.repeat(frames[-1:], 16 - len(frames), 0)])
            clips.append(torch.from_numpy(padded))
            places.append(spec.clip.apex_index)
            strength.append(kind)
    clip = torch.stack(clips).permute(0, 1, 4, 2, 3).float() / 255
    return {"clip": clip, "apex_index": torch.tensor(places), "strength": strength}


NO_MAGNET = pytest.mark.skipif(not SHIPPED.exists(), reason=f"no weights at {SHIPPED}")
MAGNET = pytest.param("magnet", marks=[NO_MAGNET, pytest.mark.slow])


@pytest.mark.slow
@pytest.mark.parametrize("magnifier", ["eulerian", MAGNET])
def test_phantom_micro_and_macro_become_alike(phantom: dict[str, Any], magnifier: Any) -> None:
    macro = np.array(phantom["strength"]) == "macro"
    emr = EMR(1.5, "nearest", magnifier)
    emr(phantom)
    before, after = (emr.params[name].numpy() for name in ("before", "after"))

    def ratio(values: np.ndarray) -> float:
        return float(np.median(values[macro]) / np.median(values[~macro]))

    # Medians of twelve clips each, which a restless head moves by a tenth.
    assert ratio(before) > 1.25
    assert 0.85 < ratio(after) < 1.15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, "target must be a motion above 0"),
        ({"reduction": "half"}, "reduction must be 'paper'"),
        ({"reduction": 1.5}, "reduction must be 'paper'"),
        ({"magnifier": "evm"}, "magnifier must be 'magnet'"),
        ({"alpha_max": 0.5}, "alpha_max must be 1 or more"),
        ({"refinements": -1}, "refinements must be 0 or more"),
        ({"flow": "raft"}, "flow must be one of"),
        ({"share": 0.0}, r"share must lie in \(0, 1\]"),
    ],
)
def test_bad_options_are_named(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EMR(**{"target": 1.0, "magnifier": "eulerian", **options})


PAIR = {"onset": torch.zeros(2, 3, 16, 16), "apex": torch.zeros(2, 3, 16, 16)}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {**mixed_batch(), "strength": ["micro"]},
            "strength must be micro or macro for each of the 2 samples",
        ),
        (
            {**mixed_batch(), "strength": ["micro", "tiny"]},
            "strength must be micro or macro for each",
        ),
        ({**mixed_batch(), "strength": None}, "strength must be micro or macro for each"),
        (
            {**mixed_batch(), "apex_index": torch.tensor([0, 3])},
            "every apex must lie after its onset",
        ),
        (
            {**mixed_batch(), "onset_index": torch.tensor([4, 3])},
            "every apex must lie after its onset",
        ),
        ({**mixed_batch(), "apex_index": torch.tensor([3, 9])}, r"whole numbers in 0\.\.8"),
        ({**mixed_batch(), "apex_index": torch.tensor([3.0, 5.0])}, r"apex_index must be \(2,\)"),
        ({**mixed_batch(), "clip": 255 * mixed_batch()["clip"]}, r"must lie in \[0, 1\]"),
        ({**mixed_batch(), "clip": torch.zeros(2, 9, 1, 16, 16)}, r"shape \(B, T, 3, H, W\)"),
        ({**mixed_batch(), "aus": torch.zeros(2, 5, 20)}, "aus must have shape"),
        ({"clip": mixed_batch()["clip"], "strength": ["micro"] * 2}, "needs 'clip' and 'apex_in"),
        ({**PAIR, "strength": ["micro", "macro"]}, "sample 1 is a macro-expression, and a pair"),
        ({**PAIR, "onset": torch.zeros(2, 3, 8, 8), "strength": ["micro"] * 2}, "one shape"),
    ],
)
def test_bad_input_is_named(inputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EMR(1.0, magnifier="eulerian")(inputs)


def test_params_of_another_batch_are_refused() -> None:
    emr = EMR(1.0, magnifier="eulerian")
    emr(mixed_batch())
    one = {"onset": PAIR["onset"][:1], "apex": PAIR["apex"][:1], "strength": ["micro"]}
    with pytest.raises(ValueError, match="the batch has 1 clips"):
        emr(one, params=emr.params)
