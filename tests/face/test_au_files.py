"""Files of AU intensities: which there are, and which of them are a clip's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mersynth.face.au_files import FileReader
from mersynth.face.openface import OpenFace
from mersynth.prepare.command import prepare
from mersynth.sources.errors import PrepareError
from tests.face.au_file_samples import PLACE_12, film, framed, openface_file, read, smiles, stored


@pytest.mark.parametrize(
    ("intensities", "said"),
    [
        ("openface", "intensities must be one of auto, none, v2, v1, openface=DIR"),
        ("openface=", "intensities must be one of auto"),
        ("openface={}/nowhere", "nowhere: there is no such folder; name the one that holds Open"),
        ("libreface={}/films", "films: the folder holds no CSV file"),
        ("openface={}/others", "others has a file for none of the clips; no file for folder/ada/"
         r"ada: looked for films/ada.csv, ada_ada.csv, folder_ada_ada.csv, ada.csv"),
        ("blendshapes={}/no.task", "no.task: there is no such file"),
    ],
)  # fmt: skip
def test_nothing_to_read(tmp_path: Path, intensities: str, said: str) -> None:
    film(tmp_path / "films", 3)
    openface_file(tmp_path / "others" / "eve.csv", smiles([1, 2, 3]))
    with pytest.raises(ValueError, match=said):
        stored(tmp_path / "films", intensities.format(tmp_path))
    assert not (tmp_path / "store").exists()


def test_a_confidence_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"min_confidence must lie in \[0, 1\], got 80"):
        stored(tmp_path, "none", min_confidence=80)


def test_clips_without_a_file_can_be_left_out(tmp_path: Path) -> None:
    film(tmp_path / "films", 3)
    film(tmp_path / "films", 3, "eve.avi")
    openface_file(tmp_path / "aus" / "ada.csv", smiles([1, 2, 3]))
    with pytest.raises(PrepareError, match=r"no file for folder/eve/eve: looked for films/eve"):
        stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}", skip_bad=True)
    assert [clip.id for clip in store.clips] == ["folder/ada/ada"]


def test_features_are_added_to_the_same_store_alone(tmp_path: Path) -> None:
    film(tmp_path / "films", 3)
    for place in ("aus", "others"):
        openface_file(tmp_path / place / "ada.csv", smiles([1, 2, 3]))
    stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    chosen = {"image_size": 8, "geometry": "crop", "apex": "annotated", "features": {"tim": {}}}
    out = tmp_path / "store"
    prepare("folder", None, out, intensities=f"openface={tmp_path / 'aus'}", **chosen)
    with pytest.raises(
        Exception, match="prepared with intensities 'openface=aus', not 'openface=o"
    ):
        prepare("folder", None, out, intensities=f"openface={tmp_path / 'others'}", **chosen)


def test_two_clips_of_one_name_do_not_share_a_file(tmp_path: Path) -> None:
    one = framed(tmp_path / "data", range(5, 8), 5, 7)
    other = framed(tmp_path / "data" / "more", range(5, 8), 5, 7)
    openface_file(tmp_path / "aus" / "EP01.csv", smiles([1, 2, 3]))
    (problem,) = FileReader(OpenFace(0.8), tmp_path / "aus").find([(one, None), (other, None)])
    assert problem.fatal
    assert "EP01.csv is also the file of another clip of that name, sub01/EP01" in problem.reason


def test_clips_of_one_recording_share_its_file(tmp_path: Path) -> None:
    ends = {"blink": (2, 4), "smile": (11, 13)}
    clips = [framed(tmp_path, range(1, 21), *ends[name], name) for name in ends]
    openface_file(tmp_path / "aus" / "EP01.csv", smiles(np.arange(20) / 10))
    reader = FileReader(OpenFace(0.8), tmp_path / "aus")
    assert reader.find([(item, None) for item in clips]) == []
    found = [reader.read(item, iter(()), None).intensities[:, PLACE_12] * 5 for item in clips]
    np.testing.assert_allclose(found, [[0.1, 0.2, 0.3], [1.0, 1.1, 1.2]], atol=1e-6)


def test_a_file_for_each_frame(tmp_path: Path) -> None:
    item = framed(tmp_path, range(9, 12), 9, 11)
    folder = tmp_path / "aus" / "sub01" / "EP01"
    folder.mkdir(parents=True)
    for number, face in ((9, "0, 0.9, 1.5"), (10, None), (11, "0, 0.3, 4")):
        lines = ["face, confidence, AU12_r", *([face] if face else [])]
        (folder / f"img{number}.csv").write_text("\n".join(lines) + "\n")
    reader = FileReader(OpenFace(0.8), tmp_path / "aus")
    values, problems = read(reader, item)
    np.testing.assert_equal(values, [1.5, np.nan, np.nan])
    assert problems == []
    assert reader.facts["frames"] == {"confidence under 0.8": 1, "measured": 1, "no face": 1}
    (folder / "img10.csv").unlink()
    (problem,) = FileReader(OpenFace(0.8), tmp_path / "aus").find([(item, None)])
    assert problem.reason == "sub01/EP01/ lacks the files of 1 frames: img10.csv"
