"""Clips of several stores, gathered for one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mersynth.face.template import HEAD, TIGHT
from mersynth.store.clip_store import ClipStore
from recognizers.data import gather
from recognizers.data.gather import read_parts
from recognizers.data.inputs import ModelData, build_inputs
from recognizers.models import InputSpec
from tests.tiny_store import HEADER, tiny_clips, write_tiny_store

SPECS = {"image": InputSpec("apex", ("red", "green", "blue"), (32, 32))}


@pytest.mark.parametrize("told", [False, True])
def test_different_framings_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, told: bool
) -> None:
    framings = {"real": HEAD, "made": TIGHT if told else HEAD}
    for name, framing in framings.items():
        header = {**HEADER, "framing": framing.as_dict()}
        write_tiny_store(tmp_path / name, tiny_clips(subjects=1), header=header)  # type: ignore[arg-type]
    paths = {"real": [tmp_path / "real"], "mix": [tmp_path / "made"]}
    read_parts(paths, SPECS, "five", "cpu", {})
    assert ("faces are not framed alike" in caplog.text) == told


def test_two_versions_of_the_phantom_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [replace(clip, source="phantom", subject="p001") for clip in tiny_clips(subjects=1)]
    for name, version in (("earlier", {}), ("now", {"phantom": 2})):
        header = {"source": "phantom", "licence": "none", **version}
        write_tiny_store(tmp_path / name, clips, header=header)  # type: ignore[arg-type]
    read_parts(
        {"real": [tmp_path / "earlier"], "mix": [tmp_path / "now"]}, SPECS, "five", "cpu", {}
    )
    assert "different versions of the phantom" in caplog.text


def test_inputs_of_a_store_are_made_once_while_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("real", "made"):
        write_tiny_store(tmp_path / name, tiny_clips(subjects=1 + (name == "made")))
    made: list[str] = []

    def counted(store: ClipStore, *args: Any, **options: Any) -> ModelData:
        made.append(store.path.name)
        return build_inputs(store, *args, **options)

    monkeypatch.setattr(gather, "build_inputs", counted)
    smaller = {"image": replace(SPECS["image"], size=(16, 16))}

    def read(specs: dict[str, InputSpec], scheme: str = "five") -> list[gather.Part]:
        paths = {"real": [tmp_path / "real"], "mix": [tmp_path / "made"]}
        return read_parts(paths, specs, scheme, "cpu", {})

    with gather.inputs_kept():
        first, again = read(SPECS), read(SPECS)
        assert made == ["real", "made"]
        assert all(a.data is b.data for a, b in zip(first, again, strict=True))
        assert read(smaller)[0].data.inputs["image"].shape[2:] == (16, 16)
        assert read(SPECS, "three")[0].data.classes != first[0].data.classes
        assert len(made) == 6
    read(SPECS)
    read(SPECS)
    assert len(made) == 10
