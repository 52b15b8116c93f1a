"""AU intensities from the files of OpenFace and LibreFace."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from mersynth.clips import Clip
from mersynth.face import libreface
from mersynth.face.au_files import FileReader
from mersynth.face.framing import FramedClip
from mersynth.face.openface import INTENSITIES, PRESENCES, OpenFace
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.prepare.command import prepare
from mersynth.sources.base import ClipFiles
from mersynth.sources.cut import Cut
from mersynth.sources.errors import PrepareError, Problem
from mersynth.sources.video import VideoFile
from mersynth.store.clip_store import ClipStore
from tests.face.test_real_faces import feat_file
from tests.sources.test_folder import write_video

PLACE_12 = CONDITION_AUS.index(12)


def openface_file(path: Path, rows: Sequence[Mapping[str, Any]], blank: str = " ") -> Path:
    """A file as OpenFace 2.2 writes it: all 35 AU columns; a row says what is not 0, or 1."""
    aus = [f"AU{au:02d}_r" for au in INTENSITIES] + [f"AU{au:02d}_c" for au in PRESENCES]
    usual = {"frame": 0, "face_id": 0, "timestamp": 0.0, "confidence": 0.98, "success": 1}
    wider = [name for name in rows[0] if name not in usual and name not in aus] if rows else []
    names = [*usual, *wider, *aus]
    lines = [f",{blank}".join(names)]
    for i, row in enumerate(rows):
        full = {**usual, "frame": i + 1, "timestamp": i / 30, **dict.fromkeys(aus, 0), **row}
        lines.append(f",{blank}".join(str(full[name]) for name in names))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def smiles(values: Sequence[float], **more: Any) -> list[dict[str, Any]]:
    return [{"AU12_r": value, **more} for value in values]


def film(folder: Path, frames: int, name: str = "ada.avi") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_video(folder / name, list(range(40, 40 + frames)))


def stored(root: Path, intensities: str, **more: Any) -> ClipStore:
    """A store of films or photos that are not searched for faces."""
    out = root.parent / "store"
    chosen = {"image_size": 8, "geometry": "crop", "apex": "annotated", **more}
    return prepare("folder", root, out, intensities=intensities, **chosen)


def framed(folder: Path, numbers: range, onset: int, offset: int, name: str = "EP01") -> FramedClip:
    """A clip of images ``EP01/imgN.jpg``, of a recording that may have more of them."""
    place = folder / "sub01" / "EP01"
    place.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (place / f"img{number}.jpg").touch()
    clip = Clip(source="casme2", subject="sub01", name=name, onset=onset, apex=None, offset=offset,
                emotion="others")  # fmt: skip
    files = ClipFiles(clip, tuple(place / f"img{i}.jpg" for i in range(onset, offset + 1)))
    return FramedClip(clip, files, Cut.whole(8, 8, 8), None)


def read(reader: FileReader, item: FramedClip) -> tuple[list[float], list[Problem]]:
    """AU 12 of each frame, on OpenFace's scale; and what was wrong."""
    problems = reader.find([(item, None)])
    if any(problem.fatal for problem in problems):
        raise AssertionError(problems)
    values = reader.read(item, iter(()), None).intensities[:, PLACE_12]
    return (5 * values.astype(float)).round(3).tolist(), problems


def test_openface_s_own_file(tmp_path: Path) -> None:
    original = feat_file("OpenFace_Test.csv")
    film(tmp_path / "films", 100)
    (tmp_path / "aus").mkdir()
    (tmp_path / "aus" / "ada.csv").write_bytes(original.read_bytes())
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    with original.open(newline="") as file:
        rows = [{k.strip(): float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    got = np.array(store[0].intensities)
    assert got.shape == (100, 20, 2)
    for au in (1, 2, 4, 5, 7, 9, 12, 17, 23, 26, 45):
        wanted = np.array([row[f"AU{au:02d}_r"] for row in rows]) / 5
        column = got[:, CONDITION_AUS.index(43 if au == 45 else au)]
        np.testing.assert_allclose(column, np.stack([wanted, wanted], 1), atol=1e-7)
    unknown = [CONDITION_AUS.index(au) for au in (11, 24, 28)]
    assert np.isnan(got[:, unknown]).all()
    assert np.isfinite(np.delete(got, unknown, axis=1)).all()
    header = store.meta["header"]
    assert header["intensities"] == "openface"
    facts = header["au_reader"]
    assert (facts["without"], facts["frames"], facts["files"]) == (
        [11, 24, 28],
        {"measured": 100},
        1,
    )
    assert header["without_intensities"] == {}
    assert str(tmp_path) not in json.dumps(header)


@pytest.mark.parametrize("blank", ["", " "])
def test_failed_and_doubtful_frames_are_missing(tmp_path: Path, blank: str) -> None:
    rows = smiles([1, 2, 3, 4, 5])
    rows[1] |= {"success": 0, "confidence": 0.02}
    rows[3] |= {"confidence": 0.7}
    rows[4] |= {"AU12_r": "nan", "AU06_r": 2.5}
    openface_file(tmp_path / "aus" / "ada.csv", rows, blank)
    film(tmp_path / "films", 5)
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    smile = store[0].intensities[:, PLACE_12, 0]
    np.testing.assert_allclose(smile, [0.2, np.nan, 0.6, np.nan, np.nan])
    assert store[0].intensities[4, CONDITION_AUS.index(6)].tolist() == [0.5, 0.5]
    header = store.meta["header"]
    assert header["au_reader"]["frames"] == {
        "confidence under 0.8": 1, "measured": 3, "success 0": 1
    }  # fmt: skip
    assert header["without_intensities"] == {
        "folder/ada/ada": {"frames": 2, "of": 5, "which": "frames 1, 3"}
    }


def test_the_least_confidence_can_be_chosen(tmp_path: Path) -> None:
    openface_file(tmp_path / "aus" / "ada.csv", smiles([1, 2], confidence=0.7))
    film(tmp_path / "films", 2)
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}", min_confidence=0.6)
    np.testing.assert_allclose(store[0].intensities[:, PLACE_12, 1], [0.2, 0.4])


def test_a_film_in_which_no_frame_succeeded_is_told(tmp_path: Path) -> None:
    openface_file(tmp_path / "aus" / "ada.csv", smiles([0, 0], success=0))
    film(tmp_path / "films", 2)
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    assert np.isnan(store.intensities).all()
    (warning,) = store.meta["header"]["warnings"]
    assert warning["reason"] == "ada.csv: no frame is measured (success 0: 2)"


HEADER = "frame, face_id, timestamp, confidence, success, AU12_r"
ROW = "{}, 0, 0.03, 0.98, 1, 2.5"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        (HEADER, "it holds no row"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "it is not a text file"),
        (f"{HEADER}\n{ROW.format(1)}\n2, 0, 0.0", "line 3 has 3 values, the header 6"),
        (f"{HEADER}\n{ROW.format(1)}\n{ROW.format(2)}", r"holds frames 1-2, but the clip has 3"),
        (
            "\n".join([HEADER, *map(ROW.format, (1, 2, 3, 4))]),
            r"holds frames 1-4, but the clip has",
        ),
        ("\n".join([HEADER, *map(ROW.format, (1, 3, 3))]), "frame 3 occurs twice with one face"),
        ("\n".join([HEADER, *map(ROW.format, (1, 2, 2, 3))]), "frame 2 occurs twice with one face"),
        (
            "\n".join([HEADER, *map(ROW.format, (1, 2.5, 3))]),
            "line 3: frame must be a whole number",
        ),
        (HEADER + "\n1, 0, 0, 0.98, 1, much", "line 2: AU12_r is 'much', not a number"),
        (
            HEADER + "\n1, 0, 0, 0.98, 1, 7.5",
            r"line 2: AU12_r is 7.5, outside the tool's scale of 0",
        ),
        ("frame, AU12_c\n1, 1", "no column such as AU01_r; AU intensities need its option -aus"),
        ("AU12_r\n1", "neither a column frame nor a column face"),
        ("frame_idx,au_12_intensity\n0,1.0", "no column such as AU01_r"),
    ],
)
def test_a_wrong_half_or_damaged_file_is_refused(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    film(tmp_path / "films", 3)
    (tmp_path / "aus").mkdir()
    text = content.encode() if isinstance(content, str) else content
    (tmp_path / "aus" / "ada.csv").write_bytes(text)
    with pytest.raises(PrepareError, match=f"folder/ada/ada: ada.csv.*{said}") as caught:
        stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    assert len(caught.value.problems) == 1
    assert not (tmp_path / "store").exists()


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


def libreface_file(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A file with columns as LibreFace writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    present = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    usual: dict[str, Any] = {"frame_time_in_ms": 0.0, "pitch": 1.5, "lm_mp_0_x": 0.4}
    usual |= {f"au_{au}": 1 for au in present}
    usual |= {f"au_{au}_intensity": 0.25 for au in libreface.INTENSITIES}
    usual |= {"facial_expression": "Happiness", "gaze_yaw": 0.1}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*rows[0], *usual])))
        writer.writeheader()
        writer.writerows({**usual, **row} for row in rows)


def test_libreface_leaves_out_frames_without_a_face(tmp_path: Path) -> None:
    film(tmp_path / "films", 5)
    rows = [{"frame_idx": i, "au_12_intensity": i + 0.5} for i in (0, 1, 3)]
    libreface_file(tmp_path / "aus" / "ada.csv", rows)
    store = stored(tmp_path / "films", f"libreface={tmp_path / 'aus'}")
    smile = store[0].intensities[:, PLACE_12, 0]
    np.testing.assert_allclose(smile, [0.1, 0.3, np.nan, 0.7, np.nan])
    known = np.isfinite(store[0].intensities[0, :, 0])
    given = {1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26}
    assert {au for au, here in zip(CONDITION_AUS, known, strict=True) if here} == given
    facts = store.meta["header"]["au_reader"]
    assert facts["frames"] == {"measured": 3, "no face": 2}
    assert (set(facts["aus"]), facts["presence_alone"]) == (given, [7, 10, 14, 23, 24])


def test_libreface_s_file_of_a_photo(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "ada.png")
    libreface_file(tmp_path / "aus" / "ada.csv", [{"au_12_intensity": 4}])
    store = stored(tmp_path / "photos", f"libreface={tmp_path / 'aus'}")
    assert store.intensities[0, PLACE_12].tolist() == pytest.approx([0.8, 0.8])
