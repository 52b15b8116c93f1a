from __future__ import annotations

from pathlib import Path

import pytest

from mersynth.face import weights
from mersynth.face.weights import FEAT_WEIGHTS, WeightsMissingError
from tests.face.random_weights import place


def test_weights_lie_where_the_hub_s_client_keeps_them(no_weights: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    for wanted in FEAT_WEIGHTS:
        assert weights.locate(wanted) is None
        place(wanted, no_weights, "0aaa").touch()
        place(wanted, no_weights, "1bbb").touch()  # the last one placed is the current revision
        place(wanted, no_weights, "0ccc").touch()
        cached = try_to_load_from_cache(wanted.repository, wanted.file, no_weights)
        assert str(weights.locate(wanted)) == cached
        assert "0ccc" in str(cached)


def test_without_a_current_revision_any_will_do(no_weights: Path) -> None:
    file = place(weights.XGB_AU, no_weights)
    file.touch()
    (no_weights / "models--py-feat--xgb_au" / "refs" / "main").unlink()
    assert weights.locate(weights.XGB_AU) == file


def test_an_override_is_used_and_its_mistakes_are_reported(
    no_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(weights.MULTITASK, no_weights).touch()
    mine = no_weights / "mine.safetensors"
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(mine))
    with pytest.raises(WeightsMissingError, match=f"FEAT_MULTITASK_WEIGHTS names {mine}"):
        weights.require([weights.MULTITASK], "AU intensities")
    mine.touch()
    assert weights.require([weights.MULTITASK], "AU intensities") == [mine]


def test_all_that_is_missing_is_named_with_licence_and_command(no_weights: Path) -> None:
    place(weights.RETINAFACE, no_weights).touch()
    with pytest.raises(WeightsMissingError) as caught:
        weights.require(FEAT_WEIGHTS, "everything")
    said = str(caught.value)
    assert caught.value.missing == FEAT_WEIGHTS[:0] + FEAT_WEIGHTS[1:]
    assert said.startswith("everything")
    for missing in FEAT_WEIGHTS[1:]:
        assert f"hf download {missing.repository} {missing.file} --cache-dir {no_weights}" in said
        assert f"licence: {missing.licence}" in said
        assert missing.variable is None or missing.variable in said
    assert "MERSYNTH_WEIGHTS" in said
    assert weights.RETINAFACE.repository not in said
