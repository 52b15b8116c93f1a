"""``recognizers predict`` of a film: what is written, and what cannot be predicted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mersynth.motion.recording import RecordingError, spot_recording
from recognizers.cli import app
from recognizers.trained.recording import PAGE, TABLE, is_recording, predict_recording
from tests.script_modules import script

FPS = 25.0


def write_film(path: Path, frames: np.ndarray, fps: float = FPS) -> Path:
    """A video of frames (T, S, S, 3), RGB."""
    size = frames.shape[2], frames.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


@pytest.fixture(scope="module", name="film")
def _film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    """Fourteen seconds of a phantom, in which nobody is seen for two seconds, and its movements."""
    films = script("measuring.films")
    frames, shown = films.film(9001, 12.0, FPS, 128)
    gone = np.zeros_like(frames[:50])
    path = tmp_path_factory.mktemp("film") / "person <b>.mp4"
    return write_film(path, np.concatenate([frames, gone])), shown


@pytest.mark.slow
def test_a_film_becomes_a_table_and_a_page(film: tuple[Path, list], tmp_path: Path) -> None:
    path, shown = film
    assert is_recording(path)
    command = ("predict", "--model", "phantom-ststnet", "--video", str(path))
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "out" / TABLE)
    assert len(table) >= 1
    assert (table.onset < table.apex).all()
    assert (table.apex < table.offset).all()
    assert (table.offset < 300).all(), "movements are seen where nobody is"
    hits = [
        each for each in shown if ((table.apex >= each.onset) & (table.apex <= each.offset)).any()
    ]
    assert hits
    odds = table.filter(like="p_")
    assert np.allclose(odds.sum(axis=1), 1)
    assert [f"p_{name}" for name in table.predicted] == odds.idxmax(axis=1).tolist()
    page = (tmp_path / "out" / PAGE).read_text()
    assert "Not a lie detector, and not a diagnosis" in page
    assert page.count('class="movement"') == len(table)
    assert page.count("<img ") == 3 * len(table)
    assert "person &lt;b&gt;.mp4" in page
    assert "person <b>" not in page
    again = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert again.exit_code != 0


@pytest.mark.slow
def test_where_the_face_is_followed(film: tuple[Path, list]) -> None:
    found = spot_recording(film[0])
    assert (found.frames, found.fps) == (350, FPS)
    assert found.stretches[0].first == 0
    assert found.stretches[-1].last < 300 + FPS, "a face is looked for once a second"
    for one, two in zip(found.stretches, found.stretches[1:], strict=False):
        assert one.last < two.first
    for movement in found.movements:
        assert found.stretch_of(movement).last >= movement.offset


def test_films_without_a_face_or_frames_leave_nothing(tmp_path: Path) -> None:
    grey = write_film(tmp_path / "grey.mp4", np.full((110, 64, 64, 3), 90, np.uint8))
    assert is_recording(grey)
    with pytest.raises(RecordingError, match=r"no face can be followed for 0\.4 s or more"):
        predict_recording(Path("phantom-ststnet"), grey, tmp_path / "out")
    with pytest.raises(RecordingError, match="there is no video"):
        spot_recording(tmp_path / "none.mp4")
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(grey.read_bytes()[:200])
    assert not is_recording(damaged)
    with pytest.raises(RecordingError, match="no frame can be read"):
        spot_recording(damaged)
    assert not (tmp_path / "out").exists()
    short = write_film(tmp_path / "short.mp4", np.full((90, 64, 64, 3), 90, np.uint8))
    assert not is_recording(short)
