"""Which file is a clip's, and which of its rows is a frame's and a face's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from mersynth.clips import Clip
from mersynth.face.au_files import FileReader
from mersynth.face.framing import FramedClip
from mersynth.face.openface import OpenFace
from mersynth.prepare.command import prepare
from mersynth.sources.cut import Cut
from mersynth.sources.errors import PrepareError
from mersynth.sources.video import VideoFile
from tests.face.au_file_samples import PLACE_12, framed, openface_file, read, smiles


@pytest.mark.parametrize(
    "name",
    ["sub01/EP01", "data/sub01/EP01", "sub01_EP01", "casme2_sub01_EP01", "EP01"],
)
def test_names_of_a_clip_s_file(tmp_path: Path, name: str) -> None:
    item = framed(tmp_path / "data", range(5, 8), 5, 7)
    openface_file(tmp_path / "aus" / f"{name}.csv", smiles([1, 2, 3]))
    openface_file(tmp_path / "aus" / "sub02" / "EP01.csv", smiles([4, 4, 4]))
    assert read(FileReader(OpenFace(0.8), tmp_path / "aus"), item)[0] == [1, 2, 3]


def test_the_surest_name_counts(tmp_path: Path) -> None:
    item = framed(tmp_path / "data", range(5, 8), 5, 7)
    openface_file(tmp_path / "aus" / "EP01.csv", smiles([4, 4, 4]))
    openface_file(tmp_path / "aus" / "sub01" / "EP01.csv", smiles([1, 2, 3]))
    assert read(FileReader(OpenFace(0.8), tmp_path / "aus"), item)[0] == [1, 2, 3]


@pytest.mark.parametrize(
    ("inside", "numbers", "timestamp", "wanted"),
    [
        # The clip, img9 to img11, was read alone, as a film or in the order of its names.
        (range(9, 12), (1, 2, 3), 0.1, [1, 2, 3]),
        (range(9, 12), (1, 2, 3), 0, [3, 1, 2]),  # img10, img11, img9
        # The folder of which the clip is a part was read: img8 is its first, img10 by name.
        (range(8, 13), (1, 2, 3, 4, 5), 0.1, [2, 3, 4]),
        (range(8, 13), (1, 2, 3, 4, 5), 0, [5, 1, 2]),  # img10, 11, 12, 8, 9
        # A whole recording, of which only the clip is here, has the numbers of the images' names.
        (range(9, 12), range(1, 21), 0.1, [9, 10, 11]),
        (range(9, 12), range(7, 15), 0.1, [3, 4, 5]),
    ],
)
def test_which_row_is_which_frame(
    tmp_path: Path, inside: range, numbers: Sequence[int], timestamp: float, wanted: list[int]
) -> None:
    item = framed(tmp_path, inside, 9, 11)
    rows = [
        {"AU12_r": (i + 1) / 10, "frame": number, "timestamp": timestamp * i}
        for i, number in enumerate(numbers)
    ]
    openface_file(tmp_path / "aus" / "EP01.csv", rows)
    values, problems = read(FileReader(OpenFace(0.8), tmp_path / "aus"), item)
    assert values == [number / 10 for number in wanted]
    assert problems == []


def test_a_film_that_begins_before_the_clip(tmp_path: Path) -> None:
    clip = Clip(source="folder", subject="ada", name="ada", onset=2, apex=None, offset=4,
                emotion="unlabelled")  # fmt: skip
    item = FramedClip(clip, VideoFile(clip, (tmp_path / "ada.mp4",)), Cut.whole(8, 8, 8), None)
    openface_file(tmp_path / "aus" / "ada.csv", smiles([1, 2, 3, 4, 5]))
    assert read(FileReader(OpenFace(0.8), tmp_path / "aus"), item)[0] == [3, 4, 5]
    # A program for several faces has no row for frames without one, here before the clip.
    openface_file(tmp_path / "aus" / "ada.csv", [{"AU12_r": 4, "frame": 4}])
    values, _ = read(FileReader(OpenFace(0.8), tmp_path / "aus"), item)
    np.testing.assert_equal(values, [np.nan, 4, np.nan])


def test_of_several_faces_the_one_seen_most_often(tmp_path: Path) -> None:
    rows = [
        *smiles([1, 1], face_id=0),
        *smiles([2, 2, 2, 2], face_id=1),
        *smiles([3, 3], face_id=2, success=0),
    ]
    for row, number in zip(rows, (1, 2, 1, 2, 4, 5, 4, 5), strict=True):
        row["frame"] = number
    openface_file(tmp_path / "aus" / "EP01.csv", rows)
    item = framed(tmp_path, range(9, 14), 9, 13)
    values, (problem,) = read(FileReader(OpenFace(0.8), tmp_path / "aus"), item)
    np.testing.assert_equal(values, [2, 2, np.nan, 2, 2])
    assert not problem.fatal
    assert problem.reason == (
        "EP01.csv: 3 faces; taken is face 1, which is measured most often (4 of 5 frames); it is "
        "absent from 1 of 5 frames"
    )


def test_one_face_that_comes_and_goes(tmp_path: Path) -> None:
    """A program for several faces writes nothing for a frame without any."""
    rows = smiles([1, 2, 3])
    for row, number in zip(rows, (2, 3, 5), strict=True):
        row["frame"] = number
    openface_file(tmp_path / "aus" / "EP01.csv", rows)
    reader = FileReader(OpenFace(0.8), tmp_path / "aus")
    values, _ = read(reader, framed(tmp_path, range(9, 14), 9, 13))
    np.testing.assert_equal(values, [np.nan, 1, 2, np.nan, 3])
    assert reader.facts["frames"] == {"measured": 3, "no face": 2}


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The photo of a face, and its 68 landmarks in the photo's pixels."""
    folder = tmp_path_factory.mktemp("photos")
    photo = folder / "ada.png"
    Image.fromarray(data.astronaut()).save(photo)
    store = prepare("folder", out=folder / "store", images=[photo], intensities="none")
    matrix = np.array(store.meta["header"]["alignments"]["folder/ada/ada"])
    points = np.linalg.solve(matrix[:, :2], (np.array(store.landmarks[0]) - matrix[:, 2]).T).T
    return photo, points


def landmark_cells(points: np.ndarray) -> dict[str, float]:
    return {f"{axis}_{i}": round(float(p), 1) for i, x_y in enumerate(points)
            for axis, p in zip("xy", x_y, strict=True)}  # fmt: skip


def test_of_several_faces_the_one_in_the_clip_s_place(
    astronaut: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    photo, points = astronaut
    rows = [
        {"AU12_r": 1, **landmark_cells(points * 1.4 + (40, 200))},
        {"AU12_r": 2, **landmark_cells(points + 3)},
        {"AU12_r": 3, **landmark_cells(points - (150, 0))},
    ]
    for face, row in enumerate(rows):
        row |= {"face_id": face, "frame": 1}
    openface_file(tmp_path / "aus" / "ada.csv", rows)
    store = prepare(
        "folder", out=tmp_path / "s", images=[photo], intensities=f"openface={tmp_path}/aus"
    )
    assert store.intensities[0, PLACE_12].tolist() == pytest.approx([0.4, 0.4])
    said = [w["reason"] for w in store.meta["header"]["warnings"]]
    assert said == ["ada.csv: 3 faces; taken is face 1, which lies where the clip's face is"]
    # Its landmarks are stored, too: those asked for, moved by three pixels of the photo.
    matrix = np.array(store.meta["header"]["alignments"]["folder/ada/ada"])
    wanted = (points + 3) @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(store.landmarks[0], wanted, atol=0.06)

    openface_file(tmp_path / "aus" / "ada.csv", [rows[0], rows[2]])
    with pytest.raises(PrepareError, match="none of its 2 faces lies where the clip's face is"):
        prepare(
            "folder", out=tmp_path / "t", images=[photo], intensities=f"openface={tmp_path}/aus"
        )
