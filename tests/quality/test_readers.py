"""AU readers: what they are trained on, and that training teaches them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.quality.choose_reader import choose_reader, correlations
from mersynth.quality.extractor import choose_extractor
from mersynth.quality.reader import Pairs, fit, reading
from mersynth.quality.rendered import draw_intensities, rendered_pairs
from mersynth.quality.sample import NotMeasuredError, take_sample
from tests.quality.stores import phantom_store

SETTINGS = {
    "kind": "auto", "subjects": 1, "each": 64, "epochs": 1, "min_steps": 1, "held_out": 0.34,
}  # fmt: skip
CPU = torch.device("cpu")
FIVE = CONDITION_AUS.index(5)


def _toy(count: int = 192) -> Pairs:
    """AU 5 of a side brightens the image's other upper half; AU 4 was never measured."""
    rng = np.random.default_rng(0)
    truth = torch.zeros(count, 20, 2)
    truth[:, FIVE] = torch.from_numpy(rng.uniform(0, 1, (count, 2)).astype(np.float32))
    onset = torch.from_numpy(rng.uniform(0.2, 0.6, (count, 3, 16, 16)).astype(np.float32))
    frame = onset.clone()
    frame[:, :, :8, 8:] += 0.1 * truth[:, FIVE, 0, None, None, None]
    frame[:, :, :8, :8] += 0.1 * truth[:, FIVE, 1, None, None, None]
    truth[:, CONDITION_AUS.index(4)] = np.nan
    return Pairs(onset, frame, truth)


def test_an_estimator_reads_rest_as_rest_and_leaves_the_global_state_alone() -> None:
    pairs = _toy(64)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    estimator = fit(pairs, 1, 0)
    assert torch.equal(torch.rand(1), expected)
    found = reading(estimator)(_frames(pairs))
    assert (found[:, 0] == 0).all()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(
        reading(estimator, CPU, 2.0)(_frames(pairs)), 2 * found, rtol=1e-5, atol=1e-7
    )


@pytest.mark.slow
def test_an_estimator_learns() -> None:
    pairs = _toy()
    found = reading(fit(pairs, 36, 0))(_frames(pairs))
    assert correlations(pairs.truth.numpy(), found[:, 1])[FIVE] > 0.9


@pytest.mark.slow
def test_an_estimator_learns_from_each_side_for_the_other() -> None:
    pairs = _toy()
    pairs.frame[:, :, :8, :8] = pairs.onset[:, :, :8, :8]
    pairs.truth[:, FIVE, 1] = 0  # the right side never moves
    read = reading(fit(pairs, 36, 0))
    mirrored = read(_frames(pairs)[:, :, :, ::-1].copy())[:, 1, FIVE]
    truth = pairs.truth[:, FIVE, 0].numpy()
    assert np.corrcoef(truth, mirrored[:, 1])[0, 1] > 0.9
    assert mirrored[:, 1].std() > 3 * mirrored[:, 0].std()


def _frames(pairs: Pairs) -> np.ndarray:
    return (torch.stack([pairs.onset, pairs.frame], 1) * 255).byte().movedim(2, -1).numpy()


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="40 frames are fewer than a batch of 64"):
        fit(_toy(40), 1, 0)


def test_correlations_are_numpys_and_skip_what_is_unknown() -> None:
    rng = np.random.default_rng(0)
    truth, found = rng.normal(size=(30, 20, 2)), rng.normal(size=(30, 20, 2))
    truth[:4, 2] = np.nan
    truth[:, 3] = 1.0
    values = correlations(truth, found)
    assert values[0] == pytest.approx(np.corrcoef(truth[:, 0].ravel(), found[:, 0].ravel())[0, 1])
    assert values[2] == pytest.approx(np.corrcoef(truth[4:, 2].ravel(), found[4:, 2].ravel())[0, 1])
    assert np.isnan(values[3])


def test_drawn_intensities_are_weak_where_asked() -> None:
    strong = draw_intensities(np.random.default_rng(0), 50)
    weak = draw_intensities(np.random.default_rng(0), 50, strongest=0.25)
    torch.testing.assert_close(weak, 0.25 * strong)
    assert strong.max() > 0.9
    assert ((strong.amax(2) > 0).sum(1) <= 4).all()


def test_half_of_the_drifting_frames_differ_by_nothing_but_the_aus() -> None:
    pairs = rendered_pairs(32, [2000], 6, 0, strongest=0.0, drift=True)
    gap = (pairs.frame - pairs.onset).abs().amax((1, 2, 3))
    assert pairs.frame.shape == (6, 3, 32, 32)
    assert (gap[1::2] < 1e-5).all()
    assert (gap[0::2] > 0.02).all()
    still = rendered_pairs(32, [2000], 6, 0)
    assert torch.equal(still.onset[0], still.onset[5])


def test_the_rendered_reader_avoids_the_stores_subjects(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = phantom_store(tmp_path / "s", subjects=1, each=1)
    sample = take_sample(store, "five", 9, 3, 32, 0)
    asked: list[list[int]] = []

    def spy(size, numbers, *args, **kwargs):
        asked.append(list(numbers))
        return rendered_pairs(size, numbers[:1], *args, **kwargs)  # a person takes half a second

    learnt: list[Pairs] = []

    def fitted(pairs, *args):
        learnt.append(pairs)
        return fit(pairs, *args)

    monkeypatch.setattr("mersynth.quality.choose_reader.rendered_pairs", spy)
    monkeypatch.setattr("mersynth.quality.choose_reader.fit", fitted)
    taken = frozenset({"phantom/p2000", "phantom/p2008"})
    reader = choose_reader(store, sample, taken, 0.4, SETTINGS, CPU, 0)
    training, test = asked
    assert not {*training, *test} & {2000, 2008}
    assert not {*training} & {*test}
    assert len(test) == 8
    assert "up to 0.50" in reader.how
    assert 0.8 < learnt[0].truth.max() <= 1  # in units of the strongest intensity
    assert np.isfinite(reader.held_out).any()
    assert reader.sides
    assert all(0 < error < 1 for error in reader.side_errors)


def test_a_reader_of_the_store_holds_people_out(tmp_path) -> None:
    store = phantom_store(tmp_path / "s", subjects=3, each=3, source="samm")
    sample = take_sample(store, "five", 99, 7, 32, 0)
    reader = choose_reader(store, sample, frozenset(), 0.6, SETTINGS, CPU, 0)
    assert reader.name == "estimator trained on the real store"
    assert len(reader.trained_on) == 2
    assert reader.trained_on < set(store.subjects)
    assert reader.read(sample.frames).shape == (27, 7, 20, 2)
    assert not reader.sides  # as the store has none
    one = sample.choose(sample.subjects == sample.subjects[0])
    with pytest.raises(NotMeasuredError, match="one subject"):
        choose_reader(store, one, frozenset(), 0.6, SETTINGS, CPU, 0)
    with pytest.raises(NotMeasuredError, match="py-feat's weights are missing"):
        choose_reader(store, sample, frozenset(), 0.6, {**SETTINGS, "kind": "feat"}, CPU, 0)


def test_inception_is_asked_for_by_name_only_where_it_lies(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(NotMeasuredError, match="Inception's weights"):
        choose_extractor(None, {"kind": "inception"}, CPU, 0)  # type: ignore[arg-type]
