"""Clips of several stores, gathered for one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mersynth.face.template import HEAD, TIGHT
from recognizers.data.gather import read_parts
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
