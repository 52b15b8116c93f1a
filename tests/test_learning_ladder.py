"""The ladder that every system climbs: its rungs, and the document of a climb."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mersynth.store.clip_store import ClipStore
from recognizers.models import list_models
from tests.script_modules import run_script, script


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few people, and little to learn."""
    ladder, forms = script("measuring.ladder"), script("measuring.small_forms")
    for name, people in {"learned": (5000, 4, 2), "tested": (5500, 2, 1)}.items():
        monkeypatch.setitem(ladder.PEOPLE, name, ladder.People(*people))
    for name, value in {"IMAGE_SIZE": 32, "SEEDS": (0,), "THREADS": (1,)}.items():
        monkeypatch.setattr(ladder, name, value)
    monkeypatch.setitem(
        forms.SMALL, "ststnet", forms.Small(2, 2, "nothing, it is a test", heart=30)
    )


def test_every_system_has_its_way_up() -> None:
    forms = script("measuring.small_forms")
    assert sorted(forms.SMALL) == list_models()
    for name, small in forms.SMALL.items():
        assert (small.epochs is None) == forms.Form(name).fits_directly
        assert ("model.training.epochs=7" in small.settings(7)) == (small.epochs is not None)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_climb_and_its_document(tmp_path: Path) -> None:
    command = ("--work", tmp_path / "work", "--out", tmp_path / "l.md", "--system", "ststnet")
    ran = run_script("measure_learning", *command)
    assert ran.code == 0, ran.stderr
    text = (tmp_path / "l.md").read_text()
    (line,) = re.findall(r"^\| `ststnet_tiny` .*$", text, re.MULTILINE)
    least, macro, strong, micro = (cell.strip() for cell in line.split("|")[4:8])
    for cell, wanted in ((least, 0.5), (macro, 0.6), (strong, 0.4)):
        assert (float(cell.removesuffix(" ✓")) >= wanted) == cell.endswith("✓")
    assert re.match(r"0\.\d{3} \(0\.\d\d to [01]\.\d\d\)", micro)
    assert "| `ststnet` | nothing, it is a test |" in text
    assert (tmp_path / "images" / "l.png").stat().st_size > 5000
    stores = {name: ClipStore.open(tmp_path / "work/stores" / name) for name in _STORES}
    peaks = {name: float(np.nanmax(store.intensities)) for name, store in stores.items()}
    assert peaks["micro_learned"] < 0.61 < peaks["strong_learned"]
    people = {name: {clip.subject for clip in store.clips} for name, store in stores.items()}
    assert not people["micro_learned"] & people["micro_tested"]


_STORES = ("micro_learned", "strong_learned", "micro_tested")
