"""LBP-TOP, against sampling point by point, scikit-image and the histograms of spotting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from skimage.feature import local_binary_pattern
from torch import Tensor

from mersynth.motion.lbp import lbp_histograms
from recognizers.data.inputs import build_inputs
from recognizers.models import create_model
from recognizers.models.lbp_top_svm import LBPTOPSVM
from recognizers.models.lbp_top_svm.histograms import (
    PLANES,
    lbp_codes,
    lbp_top,
    num_labels,
    pattern_labels,
)
from tests.recognizers.models.handful import (
    LABELS,
    grey,
    model_config,
    phantom_clips,
    phantom_store,
)


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("radii", [(1, 1, 1), (1, 2, 3), (2, 1, 4)])
def test_codes_are_those_of_points_on_ellipses(
    neighbours: int, radii: tuple[int, int, int]
) -> None:
    clip = noise(1, 11, 9, 8)
    volume = (clip[0].double() * 65535).round().numpy()
    r_x, r_y, r_t = radii
    angles = 2 * np.pi * np.arange(neighbours) / neighbours
    cosine, sine, none = np.cos(angles), np.sin(angles), np.zeros(neighbours)
    offsets = (  # t, y, x of every neighbour
        (none, -r_y * sine, r_x * cosine),
        (-r_t * sine, none, r_x * cosine),
        (-r_t * sine, r_y * cosine, none),
    )
    for plane, offset in zip(PLANES, offsets, strict=True):
        codes = lbp_codes(clip, plane, radii, neighbours)[0]
        assert codes.shape == (11 - 2 * r_t, 9 - 2 * r_y, 8 - 2 * r_x)
        for place in np.ndindex(*codes.shape):
            middle = np.add(place, (r_t, r_y, r_x))
            points = [middle[axis] + offset[axis] for axis in range(3)]
            values = map_coordinates(volume, points, order=1)
            bits = values >= volume[tuple(middle)] - 0.05
            assert codes[place] == (bits << np.arange(neighbours)).sum()


def test_a_plain_surface_is_all_ones() -> None:
    for neighbours in (4, 8):
        for plane in PLANES:
            codes = lbp_codes(torch.full((1, 9, 6, 6), 0.3), plane, (1, 1, 4), neighbours)
            assert (codes == 2**neighbours - 1).all()


def test_uniform_patterns_are_scikit_image_s() -> None:
    """Two labellings that are one up to names: each label of ours is one of theirs."""
    frame = noise(40, 40)
    theirs = local_binary_pattern((frame * 65535).round().long().numpy(), 8, 1, "nri_uniform")
    theirs = torch.from_numpy(theirs[1:-1, 1:-1].astype(np.int64)).flatten()
    codes = lbp_codes(frame.expand(1, 3, 40, 40), PLANES[0], (1, 1, 1), 8)[0, 0]
    ours = pattern_labels(8, uniform=True)[codes].flatten()
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len(set(ours.tolist())) == len(set(theirs.tolist()))
    assert num_labels(8, uniform=True) == 59
    assert num_labels(4, uniform=True) == 15
    assert num_labels(8, uniform=False) == 256
    # And in blocks, as spotting counts them; its order of the labels differs.
    whole = lbp_top(frame.expand(1, 3, 40, 40), 3, (1, 1, 1), 8, uniform=True)[0, 0]
    wanted = lbp_histograms(frame[None], blocks=3, radius=1.0)[0]
    for our, their in pairs:
        torch.testing.assert_close(whole[:, our].double(), wanted[:, their], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("neighbours", "uniform"), [(4, False), (4, True), (8, True)])
def test_histograms_count_labels_in_blocks(neighbours: int, uniform: bool) -> None:
    clips = noise(2, 9, 12, 13)
    labels = num_labels(neighbours, uniform)
    histograms = lbp_top(clips, 3, (1, 2, 3), neighbours, uniform)
    assert histograms.shape == (2, 3, 9, labels)
    torch.testing.assert_close(histograms.sum(3), torch.ones(2, 3, 9))
    table = pattern_labels(neighbours, uniform)
    for clip, plane in np.ndindex(2, 3):
        codes = table[lbp_codes(clips, PLANES[plane], (1, 2, 3), neighbours)[clip]].numpy()
        blocks = [
            part.ravel()
            for rows in np.array_split(codes, 3, axis=1)
            for part in np.array_split(rows, 3, axis=2)
        ]
        wanted = [np.bincount(block, minlength=labels) / len(block) for block in blocks]
        np.testing.assert_allclose(histograms[clip, plane], wanted, atol=1e-6)


def test_a_still_clip_differs_in_time_alone() -> None:
    still = noise(1, 1, 16, 16).expand(1, 9, 16, 16)
    moving = torch.stack([still[:, t].roll(t, dims=2) for t in range(9)], dim=1)
    (still_xy, *still_time), (moving_xy, *moving_time) = (
        lbp_top(clip, 1, (1, 1, 4))[0] for clip in (still, moving)
    )
    torch.testing.assert_close(still_xy, moving_xy, atol=0.1, rtol=0)
    for one, other in zip(still_time, moving_time, strict=True):
        assert (one - other).abs().sum() > 0.5


def test_a_machine_learns_phantom_clips_and_keeps_them_in_its_state() -> None:
    options = model_config("lbp_top_svm_tiny")["options"]
    model = create_model("lbp_top_svm", 3, **options)
    assert model.fits_directly
    clips = phantom_clips(options["image_size"], options["num_frames"])
    model.fit_directly(LABELS, tim=clips)
    output = model.eval()(tim=clips)
    assert output.logits.argmax(1).tolist() == LABELS.tolist()
    assert output.features.shape == (6, 3 * 4 * 16)
    shades = grey(clips)[:, :, 0]
    wanted = lbp_top(shades, 2, (1, 1, 4)).flatten(1)
    torch.testing.assert_close(output.features, wanted, atol=0.02, rtol=0)
    fresh = LBPTOPSVM(3, **options)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(tim=clips).logits, output.logits)


@pytest.mark.gpu
def test_a_machine_on_a_gpu_answers_as_on_the_cpu() -> None:
    options = model_config("lbp_top_svm_tiny")["options"]
    model = LBPTOPSVM(3, **options)
    clips = phantom_clips(options["image_size"], options["num_frames"])
    model.fit_directly(LABELS, tim=clips)
    wanted = model(tim=clips)
    model.cuda().fit_directly(LABELS.cuda(), tim=clips.cuda())
    output = model(tim=clips.cuda())
    assert output.logits.is_cuda
    # Rounding may turn a few of the patterns.
    torch.testing.assert_close(output.features.cpu(), wanted.features, atol=0.02, rtol=0)
    assert output.logits.argmax(1).tolist() == LABELS.tolist()


def test_it_reads_a_store(tmp_path: Path) -> None:
    options = model_config("lbp_top_svm_tiny")["options"]
    model = create_model("lbp_top_svm", 3, **options)
    data = build_inputs(phantom_store(tmp_path / "phantom"), model.inputs, "three")
    model.fit_directly(data.label, **data.inputs)
    assert model(**data.inputs).logits.argmax(1).tolist() == data.label.tolist()


def test_clips_that_are_too_small_are_refused() -> None:
    for shape in ((1, 8, 20, 20), (1, 9, 6, 20), (9, 20, 20)):
        with pytest.raises(ValueError, match="with 9 frames and 7 x 7 pixels or more"):
            lbp_top(torch.zeros(shape))
