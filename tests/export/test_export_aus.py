"""Export of AUs as OpenFace's files, and what reads them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mersynth.export import ExportError, export
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from tests.export.export_stores import read_provenance
from tests.face.au_file_samples import film, openface_file, stored
from tests.face.test_real_faces import feat_file
from tests.tiny_store import HEADER, tiny_clips

COLUMN = {au: i for i, au in enumerate(CONDITION_AUS)}


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> ClipStore:
    """A clip with sides and gaps, and one of which nothing was measured."""
    clips = tiny_clips(subjects=1, num_frames=3)[:2]
    curve = np.full((3, 20, 2), np.nan, np.float32)
    curve[:, COLUMN[12]] = [[0, 0], [0.1, 0.3], [0.2, 0.1]]
    curve[:, COLUMN[28]] = [[0, 0], [0, 0], [0.4, 0.4]]
    curve[:, COLUMN[43]] = 1
    curve[1] = np.nan
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    with StoreWriter(tmp_path / "store", clips, 8, HEADER) as writer:
        writer.add(frames, curve)
        writer.add(frames)
        return writer.finish()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_columns_are_openface_s(store: ClipStore, tmp_path: Path) -> None:
    out = export(store.path, None, tmp_path / "out", aus="csv")
    original = feat_file("OpenFace_Test.csv").read_text().splitlines()[0]
    theirs = [name.strip() for name in original.split(",")]
    wanted = [name for name in theirs if name.startswith("AU")]
    rows = rows_of(out / "samm_000_anger_0.csv")
    names = ["frame", "face_id", "timestamp", "confidence", "success"]
    assert list(rows[0]) == [*names, *wanted]


def test_the_values(store: ClipStore, tmp_path: Path) -> None:
    rows = rows_of(export(store.path, None, tmp_path / "out", aus="csv") / "samm_000_anger_0.csv")
    assert [row["frame"] for row in rows] == ["1", "2", "3"]
    assert [float(row["timestamp"]) for row in rows] == [0, 0.005, 0.01]  # 200 a second
    assert [(row["success"], row["confidence"]) for row in rows] == [
        ("1",) * 2,
        ("0",) * 2,
        ("1",) * 2,
    ]
    assert float(rows[2]["AU12_r"]) == pytest.approx(1.0)  # the stronger side
    assert [row["AU12_c"] for row in rows] == ["0", "", "1"]
    assert [row["AU28_c"] for row in rows] == ["0", "", "1"]
    assert (float(rows[0]["AU45_r"]), rows[0]["AU45_c"]) == (5.0, "1")
    assert {rows[0][name] for name in ("AU01_r", "AU26_r", "AU01_c")} == {""}
    assert all(
        row["success"] == "0" for row in rows_of(tmp_path / "out" / "samm_000_contempt_0.csv")
    )


def test_export_and_prepare_give_the_same_intensities(tmp_path: Path) -> None:
    """OpenFace's own file, failed frames included."""
    original = feat_file("OpenFace_Test.csv").read_text().splitlines()[:41]
    cells = original[3].split(",")
    cells[2:4] = ["0.1", "0"]
    original[3] = ",".join(cells)
    film(tmp_path / "films", 40)
    (tmp_path / "aus").mkdir()
    (tmp_path / "aus" / "ada.csv").write_text("\n".join(original) + "\n")
    before = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    assert np.isnan(before.intensities[2]).all()
    assert np.isfinite(before.intensities[1]).any()
    out = export(before.path, None, tmp_path / "out", aus="csv")
    (row,) = read_provenance(out)
    assert (row["path"], row["class"]) == ("folder_ada_ada.csv", "")
    chosen = {"image_size": 8, "geometry": "crop", "apex": "annotated"}
    after = prepare(
        "folder", tmp_path / "films", tmp_path / "again", intensities=f"openface={out}", **chosen
    )
    np.testing.assert_array_equal(after.intensities, before.intensities)


def test_aus_beside_another_layout(store: ClipStore, tmp_path: Path) -> None:
    out = export(store.path, "imagefolder", tmp_path / "out", aus="csv")
    for row in read_provenance(out):
        assert len(rows_of(out / row["aus_file"])) == 3
        assert (out / row["aus_file"]).parent == out / "aus"


def test_refused(store: ClipStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        ValueError, match=r"give a layout \(casme2, .*\), AUs \(--aus csv\), or both"
    ):
        export(store.path, None, out)
    with pytest.raises(ValueError, match=r"aus must be one of null .*, csv, got 'json'"):
        export(store.path, None, out, aus="json")
    with pytest.raises(
        ValueError, match="npz is one file: export the AUs, a file per clip, without"
    ):
        export(store.path, "npz", tmp_path / "out.npz", aus="csv")
    openface_file(out / "mine.csv", [{}])
    with pytest.raises(ExportError, match="exists already"):
        export(store.path, None, out, aus="csv")
