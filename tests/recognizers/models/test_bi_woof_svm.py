"""Bi-WOOF, against a loop over blocks and pixels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizers.data.inputs import build_inputs
from recognizers.models import create_model, describe
from recognizers.models.bi_woof_svm import BiWOOFSVM, bi_woof
from tests.recognizers.models.handful import LABELS, model_config, phantom_flow, phantom_store


def slow_bi_woof(image: np.ndarray, blocks: int, bins: int) -> np.ndarray:
    """Of (3, H, W), a pixel at a time."""
    parts = []
    for rows in np.array_split(np.arange(image.shape[1]), blocks):
        for columns in np.array_split(np.arange(image.shape[2]), blocks):
            histogram, strain = np.zeros(bins), 0.0
            for y in rows:
                for x in columns:
                    u, v, epsilon = image[:, y, x]
                    angle = math.degrees(math.atan2(v, u))
                    number = sum(angle >= -180 + 360 / bins * k for k in range(1, bins))
                    histogram[0 if angle == 180 else number] += math.hypot(u, v)
                    strain += epsilon
            if histogram.any():
                histogram /= histogram.sum()
            parts.append(histogram * strain / (len(rows) * len(columns)))
    joined = np.concatenate(parts)
    return joined / np.linalg.norm(joined)


@pytest.mark.parametrize(("blocks", "bins", "shape"), [(5, 8, (23, 31)), (3, 12, (9, 9))])
def test_it_is_the_loop_over_pixels(blocks: int, bins: int, shape: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(1))
    image[:, 2].abs_()
    image[0, :, :4, :4] = 0  # a place that does not move
    slow = [slow_bi_woof(one, blocks, bins) for one in image.double().numpy()]
    np.testing.assert_allclose(bi_woof(image, blocks, bins), slow, atol=1e-6)


def test_directions_fall_into_their_bins() -> None:
    """Left, left and up (y is down), up, ... : the middle of each of eight bins."""
    for number in range(8):
        angle = math.radians(-180 + 45 * number + 22.5)
        image = torch.ones(1, 3, 4, 4)
        image[:, 0], image[:, 1] = math.cos(angle), math.sin(angle)
        histogram = bi_woof(image, blocks=2).view(4, 8)
        assert histogram.argmax(1).tolist() == [number] * 4
        torch.testing.assert_close(histogram[:, number], torch.full((4,), 0.5))
    left = torch.zeros(1, 3, 2, 2)
    left[:, 0], left[:, 2] = -1, 1
    assert bi_woof(left, blocks=1).argmax() == 0
    left[:, 1] = -0.0  # -180 degrees and 180 are one
    assert bi_woof(left, blocks=1).argmax() == 0


def test_a_face_that_does_not_move_is_zeros() -> None:
    assert not bi_woof(torch.zeros(1, 3, 10, 10)).any()


def test_a_machine_learns_phantom_clips_and_keeps_them_in_its_state() -> None:
    config = model_config("bi_woof_svm_tiny")
    model = create_model("bi_woof_svm", 3, **config["options"])
    assert not config.get("training", {}).get("standardise")  # directions and sums count
    flow_strain = phantom_flow(32)
    model.fit_directly(LABELS, flow_strain=flow_strain)
    output = model.eval()(flow_strain=flow_strain)
    assert output.logits.argmax(1).tolist() == LABELS.tolist()
    assert output.features.shape == (6, 200)
    fresh = BiWOOFSVM(3, image_size=32)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(flow_strain=flow_strain).logits, output.logits)
    # Half of the people are enough to know the others by.
    fresh.fit_directly(LABELS[:3], flow_strain=flow_strain[:3])
    found = fresh(flow_strain=flow_strain[3:]).logits.argmax(1)
    assert found.tolist() == LABELS[3:].tolist()


@pytest.mark.gpu
def test_a_machine_on_a_gpu_answers_as_on_the_cpu() -> None:
    flow_strain = phantom_flow(32)
    model = BiWOOFSVM(3, image_size=32)
    model.fit_directly(LABELS, flow_strain=flow_strain)
    wanted = model(flow_strain=flow_strain)
    model.cuda().fit_directly(LABELS.cuda(), flow_strain=flow_strain.cuda())
    output = model(flow_strain=flow_strain.cuda())
    assert output.logits.is_cuda
    torch.testing.assert_close(output.features.cpu(), wanted.features, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.logits.cpu(), wanted.logits, atol=0.01, rtol=0.01)


def test_it_reads_a_store(tmp_path: Path) -> None:
    model = create_model("bi_woof_svm", 3, image_size=32)
    data = build_inputs(phantom_store(tmp_path / "phantom"), model.inputs, "three")
    model.fit_directly(data.label, **data.inputs)
    assert model(**data.inputs).logits.argmax(1).tolist() == data.label.tolist()


def test_a_fresh_one_has_no_parameters_and_no_opinion() -> None:
    told = describe("bi_woof_svm")
    assert told.parameters == 0
    assert told.inputs["flow_strain"].shape == (3, 128, 128)
    model = BiWOOFSVM(4, image_size=16)
    logits = model(flow_strain=torch.randn(2, 3, 16, 16)).logits
    torch.testing.assert_close(logits.softmax(1), torch.full((2, 4), 0.25))


def test_clips_that_do_not_fit_are_refused() -> None:
    model = BiWOOFSVM(3, image_size=16)
    image = torch.randn(4, 3, 16, 16)
    with pytest.raises(ValueError, match=r"labels must be \(4,\) in 0..2, got \(3,\)"):
        model.fit_directly(torch.tensor([0, 1, 2]), flow_strain=image)
    with pytest.raises(ValueError, match=r"labels must be \(4,\) in 0..2, got \(4,\) with .*3"):
        model.fit_directly(torch.tensor([0, 1, 2, 3]), flow_strain=image)
    with pytest.raises(ValueError, match=r"flow_strain .* must be \(B, C, H, W\)"):
        model.fit_directly(torch.tensor([0, 1, 2, 0]), flow_strain=image[..., :8])
    with pytest.raises(ValueError, match=r"with sides of 5 pixels or more, got \(4, 3, 16, 3\)"):
        bi_woof(image[..., :3])
