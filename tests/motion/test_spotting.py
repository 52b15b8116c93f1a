"""Doubtful apexes: reported, and kept, spotted again or left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image

from mersynth.phantom.population import clip_specs, render_clip
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import StoreError

# By clip: onset, apex and offset in a recording whose frames 0 to 20 show a rise and a fall that is
# strongest at 10; of "frozen" the frames up to 12 are the same.
CLIPS = {
    "whole": (0, 10, 20),
    "early": (0, 0, 20),
    "late": (0, 20, 20),
    "single": (5, 5, 5),
    "frozen": (0, 12, 20),
}
DOUBTS = {
    "early": "it is the onset",
    "late": "it is the offset",
    "single": "a single frame",
    "frozen": "no pixel changes from onset to apex",
}


@pytest.fixture(scope="module", name="frames")
def _frames() -> list[np.ndarray]:
    spec = next(s for s in clip_specs(seed=3) if s.clip.num_frames > 20)
    rendered, _, _ = render_clip(spec, 64)
    rise = [rendered[round(t * spec.clip.apex_index / 10)] for t in range(11)]
    film = [frame.copy() for frame in (*rise, *rise[-2::-1])]
    for t, frame in enumerate(film):
        frame[0, 0] = 5 * t  # no two frames are the same
    return film


def write_casme2(root: Path, frames: list[np.ndarray], names: tuple[str, ...]) -> Path:
    book = Workbook()
    sheet = book.worksheets[0]
    header = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame")
    sheet.append([*header, "Action Units", "Estimated Emotion"])
    for name in names:
        folder = root / "sub01" / name
        folder.mkdir(parents=True)
        onset, _, offset = CLIPS[name]
        for t in range(onset, offset + 1):
            shown = frames[0] if name == "frozen" and t <= 12 else frames[t]
            Image.fromarray(shown).save(folder / f"reg_img{t}.png")
        sheet.append(["01", name, *CLIPS[name], "12", "happiness"])
    book.save(root / "CASME2-coding.xlsx")
    return root


def tell(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "in doubt" in r.getMessage()]


def test_an_apex_in_doubt_is_reported_and_kept(
    frames: list[np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_casme2(tmp_path / "data", frames, tuple(CLIPS))
    store = prepare("casme2", root, tmp_path / "s", image_size=64, geometry="resize")
    assert [clip.name for clip in store.clips] == list(CLIPS)
    assert [(c.onset, c.apex, c.offset) for c in store.clips] == list(CLIPS.values())
    header = store.meta["header"]
    reasons = {p["file"]: p["reason"] for p in header["warnings"]}
    assert reasons == {
        f"casme2/sub01/{name}": f"apex in doubt ({doubt}): kept as it is"
        for name, doubt in DOUBTS.items()
    }
    assert (header["apex_spotting"], header["respotted"], header["skipped"]) == (None, {}, [])
    told = tell(caplog)
    assert told[0] == (
        "1 of 5 clips have an apex in doubt (it is the onset): casme2/sub01/early; kept as they "
        "are; doubtful_apex=spot spots it again, doubtful_apex=leave_out leaves these clips out"
    )
    assert len(told) == len(DOUBTS)


def test_an_apex_in_doubt_is_spotted_anew_where_the_face_moves(
    frames: list[np.ndarray], tmp_path: Path
) -> None:
    root = write_casme2(tmp_path / "data", frames, tuple(CLIPS))
    options = {"image_size": 64, "geometry": "resize", "doubtful_apex": "spot"}
    store = prepare("casme2", root, tmp_path / "s", **options)
    found = {clip.name: (clip.apex, clip.apex_method) for clip in store.clips}
    assert found["whole"] == (10, None)
    assert found["single"] == (5, None)  # what does not move keeps its apex
    for name in ("early", "late"):
        apex, method = found[name]
        assert (abs(apex - 10) <= 2, method) == (True, "strain")
    header = store.meta["header"]
    assert header["respotted"] == {
        "casme2/sub01/early": 0,
        "casme2/sub01/late": 20,
        "casme2/sub01/frozen": 12,
    }
    assert header["apex_spotting"] == "strain"
    warned = [p["reason"] for p in header["warnings"]]
    assert [p["file"] for p in header["warnings"]] == ["casme2/sub01/single"] * 2
    assert warned[0].startswith("no apex spotted: an apex lies between")
    assert warned[1] == "apex in doubt (a single frame): kept as it is"


def test_clips_whose_apex_is_in_doubt_are_left_out(
    frames: list[np.ndarray], tmp_path: Path
) -> None:
    root = write_casme2(tmp_path / "data", frames, tuple(CLIPS))
    options = {"image_size": 64, "geometry": "resize", "doubtful_apex": "leave_out"}
    store = prepare("casme2", root, tmp_path / "s", **options)
    assert [clip.name for clip in store.clips] == ["whole"]
    skipped = {p["file"]: p["reason"] for p in store.meta["header"]["skipped"]}
    assert skipped == {
        f"casme2/sub01/{name}": f"apex in doubt ({doubt}): left out"
        for name, doubt in DOUBTS.items()
    }
    early = write_casme2(tmp_path / "other", frames, ("early",))
    with pytest.raises(StoreError, match=r"apex of every clip is in doubt.*doubtful_apex=spot"):
        prepare("casme2", early, tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()


def test_a_database_that_ends_at_its_apexes_is_made_so(
    frames: list[np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_casme2(tmp_path / "data", frames, ("late",))
    options = {"image_size": 32, "geometry": "resize", "doubtful_apex": "leave_out"}
    store = prepare("casme2", root, tmp_path / "s", **options)
    assert [clip.apex for clip in store.clips] == [20]
    assert not tell(caplog)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"doubtful_apex": "guess"}, "doubtful_apex must be one of keep, spot, leave_out"),
        ({"doubtful_apex": "spot", "apex": "annotated"}, "apex=annotated never spots any"),
    ],
)
def test_choices_that_are_none_or_contradict_each_other(
    options: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        prepare("casme2", tmp_path, tmp_path / "s", **options)
