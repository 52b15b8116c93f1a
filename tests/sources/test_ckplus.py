"""Tests of the source ckplus."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mersynth.facs.action_units import parse_au_cell
from mersynth.facs.emotions import label, native_labels
from mersynth.sources import get_source
from mersynth.sources.base import Scan
from mersynth.sources.ckplus import EMOTIONS
from mersynth.sources.errors import SourceError


@dataclass(frozen=True)
class FakeSequence:
    """A sequence of the fake tree; code None: without a label."""

    subject: str
    name: str
    frames: int
    code: int | None
    aus: Sequence[tuple[int, int]] = ()

    @property
    def folder(self) -> str:
        return f"{self.subject}/{self.name}"

    def stem(self, number: int) -> str:
        return f"{self.subject}_{self.name}_{number:08d}"


SEQUENCES = (
    FakeSequence("S005", "001", 5, 3, ((9, 5), (17, 3), (24, 0))),
    FakeSequence("S005", "002", 3, None, ((12, 1),)),
    FakeSequence("S010", "006", 4, 5, ((6, 4), (12, 2))),
    FakeSequence("S999", "003", 2, 2),
)
LABELLED = [sequence for sequence in SEQUENCES if sequence.code is not None]


def _number(value: float) -> str:
    return f"   {value:.7e}"


def _landmarks(sequence: FakeSequence, number: int) -> np.ndarray:
    corner = 100 * SEQUENCES.index(sequence) + 10 * number
    return corner + np.arange(136, dtype=np.float64).reshape(68, 2) / 7


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    root = tmp_path / "ckplus"
    for sequence in SEQUENCES:
        folders = {
            kind: root / kind / sequence.folder
            for kind in ("cohn-kanade-images", "Emotion", "FACS", "Landmarks")
        }
        for folder in folders.values():
            folder.mkdir(parents=True)
        for number in range(1, sequence.frames + 1):
            stem, grey = sequence.stem(number), Image.new("L", (64, 49), 20 * number)
            grey.save(folders["cohn-kanade-images"] / f"{stem}.png")
            lines = ["".join(map(_number, point)) for point in _landmarks(sequence, number)]
            (folders["Landmarks"] / f"{stem}_landmarks.txt").write_text("\n".join(lines) + "\n")
        (folders["cohn-kanade-images"] / ".DS_Store").touch()
        peak = sequence.stem(sequence.frames)
        if sequence.code is not None:
            (folders["Emotion"] / f"{peak}_emotion.txt").write_text(_number(sequence.code) + "\n")
        lines = [_number(au) + _number(level) for au, level in sequence.aus]
        if lines:
            (folders["FACS"] / f"{peak}_facs.txt").write_text("\n".join(lines) + "\n")
    return root


def _scan(root: Path) -> Scan:
    return get_source("ckplus").scan(root)


def _assert_lost(scan: Scan, file: str, reason: str, lost: int = 0) -> None:
    """One fatal problem, by which one labelled sequence is lost."""
    (problem,) = [problem for problem in scan.problems if problem.fatal]
    assert problem.file == file
    assert re.search(reason, problem.reason), problem.reason
    kept = [s.folder for i, s in enumerate(LABELLED) if i != lost]
    assert [f"{f.clip.subject}/{f.clip.name}" for f in scan.clips] == kept


def test_codes_are_the_native_labels() -> None:
    assert sorted(EMOTIONS.values()) == sorted(native_labels("ckplus"))
    assert [EMOTIONS[code] for code in (1, 2, 3, 4, 6)] == [
        *("anger", "contempt", "disgust", "fear", "sadness")
    ]
    assert label("ckplus", EMOTIONS[5], "three") == "positive"
    assert label("ckplus", EMOTIONS[7], "three") == "surprise"


def test_every_labelled_sequence_is_found(tree: Path) -> None:
    scan = _scan(tree)
    assert scan.release == "raw"
    assert [files.clip.id for files in scan.clips] == [f"ckplus/{s.folder}" for s in LABELLED]
    assert [files.clip.emotion for files in scan.clips] == ["disgust", "happiness", "contempt"]
    assert [files.clip.aus for files in scan.clips] == ["9E+17C+24", "6D+12B", ""]
    for files, sequence in zip(scan.clips, LABELLED, strict=True):
        clip = files.clip
        assert (clip.onset, clip.apex, clip.offset) == (1, sequence.frames, sequence.frames)
        assert (clip.strength, clip.fps) == ("macro", 30.0)
        frames = np.stack(list(files.read()))
        assert frames.shape == (sequence.frames, 49, 64, 3)
        assert frames[:, 5, 5, 1].tolist() == [20 * (i + 1) for i in range(sequence.frames)]
        assert files.landmarks is not None
        assert files.landmarks.dtype == np.float32
        wanted = np.stack([_landmarks(sequence, i + 1) for i in range(sequence.frames)])
        np.testing.assert_allclose(files.landmarks, wanted, rtol=1e-5)
    event = parse_au_cell(scan.clips[0].clip.aus).events[1]
    assert (event.number, event.intensity) == (17, pytest.approx(0.6))


def test_what_sequences_lack_is_counted_once(tree: Path) -> None:
    problems = _scan(tree).problems
    assert not any(problem.fatal for problem in problems)
    assert {(p.file, p.reason) for p in problems} == {
        ("Emotion", "1 sequences have no emotion and were left out"),
        ("FACS", "1 sequences have no AUs and were stored without"),
    }


def test_without_landmarks(tree: Path) -> None:
    (tree / "Landmarks").rename(tree / "elsewhere")
    scan = _scan(tree)
    assert all(files.landmarks is None for files in scan.clips)
    reasons = [p.reason for p in scan.problems if p.file == "Landmarks"]
    assert reasons == ["3 sequences have no landmarks and were stored without"]


@pytest.mark.parametrize(
    "content", ["", "  1.0 2.0\n" * 67, "1 2 3\n" * 68, "1 x\n" * 68, "nan 1\n"]
)
def test_damaged_landmarks_are_reported_and_not_invented(tree: Path, content: str) -> None:
    file = tree / "Landmarks/S005/001/S005_001_00000002_landmarks.txt"
    file.write_text(content)
    scan = _scan(tree)
    assert len(scan.clips) == 3
    landmarks = scan.clips[0].landmarks
    assert landmarks is not None
    assert np.isnan(landmarks).all((1, 2)).tolist() == [False, True, False, False, False]
    (problem,) = [p for p in scan.problems if p.file == file.relative_to(tree).as_posix()]
    assert problem.reason.endswith("stored without them")
    assert not problem.fatal


def test_missing_landmarks_are_reported_and_not_invented(tree: Path) -> None:
    for number in (1, 4):
        (tree / f"Landmarks/S005/001/S005_001_{number:08d}_landmarks.txt").unlink()
    scan = _scan(tree)
    landmarks = scan.clips[0].landmarks
    assert landmarks is not None
    assert np.isnan(landmarks).all((1, 2)).tolist() == [True, False, False, True, False]
    (problem,) = [p for p in scan.problems if p.file == "Landmarks/S005/001"]
    assert "no landmarks of 1, 4" in problem.reason
    assert not problem.fatal


def test_missing_frame(tree: Path) -> None:
    (tree / "cohn-kanade-images/S005/001/S005_001_00000003.png").unlink()
    _assert_lost(_scan(tree), "cohn-kanade-images/S005/001", r"^frame 3 of 1\.\.5 missing")


def test_missing_peak(tree: Path) -> None:
    (tree / "cohn-kanade-images/S005/001/S005_001_00000005.png").unlink()
    reason = "file names 5 as the peak frame, the last one is 4"
    _assert_lost(_scan(tree), "cohn-kanade-images/S005/001", reason)


def test_missing_first_frame_is_reported(tree: Path) -> None:
    (tree / "cohn-kanade-images/S005/001/S005_001_00000001.png").unlink()
    scan = _scan(tree)
    assert (scan.clips[0].clip.onset, scan.clips[0].clip.num_frames) == (2, 4)
    assert scan.clips[0].landmarks is not None
    np.testing.assert_allclose(scan.clips[0].landmarks[0], _landmarks(SEQUENCES[0], 2), rtol=1e-5)
    (problem,) = [p for p in scan.problems if p.file == "cohn-kanade-images/S005/001"]
    assert "the first frame is 2, not 1" in problem.reason


def test_no_frames(tree: Path) -> None:
    for frame in (tree / "cohn-kanade-images/S005/001").iterdir():
        frame.unlink()
    _assert_lost(_scan(tree), "cohn-kanade-images/S005/001", "the last one is None")


def test_no_folder_of_frames(tree: Path) -> None:
    (tree / "cohn-kanade-images/S005/001").rename(tree / "elsewhere")
    _assert_lost(_scan(tree), "Emotion/S005/001", "no folder of frames")


def test_truncated_image(tree: Path) -> None:
    frame = tree / "cohn-kanade-images/S010/006/S010_006_00000002.png"
    frame.write_bytes(frame.read_bytes()[: -len(frame.read_bytes()) // 3])
    _assert_lost(_scan(tree), frame.relative_to(tree).as_posix(), "truncated or damaged", lost=1)


def test_frames_of_several_sizes(tree: Path) -> None:
    Image.new("L", (64, 48)).save(tree / "cohn-kanade-images/S010/006/S010_006_00000002.png")
    reason = "several sizes: 64x48, 64x49"
    _assert_lost(_scan(tree), "cohn-kanade-images/S010/006", reason, lost=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("   0.0000000e+00\n", "code '0' is not one of 1 anger, .* 7 surprise$"),
        ("8", "code '8' is not"),
        ("2.5", "code '2.5' is not"),
        ("", "code '' is not"),
        ("1\n2\n", "code '1 2' is not"),
        ("anger", "not a file with 1 numbers per line"),
        ("1 2", "not a file with 1 numbers per line"),
        ("nan", "not a file with 1 numbers per line"),
        ("\xff", "not a file with 1 numbers per line"),
    ],
)
def test_unknown_emotion(tree: Path, content: str, reason: str) -> None:
    file = tree / "Emotion/S005/001/S005_001_00000005_emotion.txt"
    file.write_bytes(content.encode("latin-1"))
    _assert_lost(_scan(tree), file.relative_to(tree).as_posix(), reason)


def test_two_emotions(tree: Path) -> None:
    (tree / "Emotion/S005/001/S005_001_00000006_emotion.txt").write_text("1")
    file = "Emotion/S005/001/S005_001_00000005_emotion.txt"
    _assert_lost(_scan(tree), file, "has 2 labels, also S005_001_00000006_emotion.txt")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("4.0 6.0\n", "not 0 to 5"),
        ("4.5 1.0\n", "not whole"),
        ("4.0\n", "not a file with 2 numbers per line"),
        ("four 1\n", "not a file with 2 numbers per line"),
    ],
)
def test_damaged_aus_are_reported_and_not_invented(tree: Path, content: str, reason: str) -> None:
    file = tree / "FACS/S005/001/S005_001_00000005_facs.txt"
    file.write_text(content)
    scan = _scan(tree)
    assert scan.clips[0].clip.aus == ""
    (problem,) = [p for p in scan.problems if p.file == file.relative_to(tree).as_posix()]
    assert reason in problem.reason
    assert problem.reason.endswith("stored without AUs")
    assert not problem.fatal


def test_an_au_that_facs_does_not_have_is_reported_and_kept(tree: Path) -> None:
    (tree / "FACS/S005/001/S005_001_00000005_facs.txt").write_text("4 2\n3 1\n")
    scan = _scan(tree)
    assert scan.clips[0].clip.aus == "4B+3A"
    (problem,) = [p for p in scan.problems if p.file.startswith("FACS/")]
    assert "'3A' cannot be read" in problem.reason


def test_places_that_are_missing(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MERSYNTH_DATA/ckplus"):
        _scan(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no folder Emotion(.|\n)*cohn-kanade-images/"):
        _scan(tmp_path / "empty")
    (tree / "cohn-kanade-images").rename(tree / "images")
    with pytest.raises(SourceError, match="holds no sequence in cohn-kanade-images"):
        _scan(tree)
