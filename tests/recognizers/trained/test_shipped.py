"""The recognizers that come with the package: whole, honest about themselves, and able."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import recognizers
from mersynth.disk.files import sha256_of_file
from mersynth.facs.emotions import label
from mersynth.phantom.population import write_store
from mersynth.store.clip_store import ClipStore
from recognizers.cli import app
from recognizers.data.inputs import build_inputs
from recognizers.evaluation.metrics import score
from recognizers.trained.card import RENDERED, SHIPPED, WEIGHTS, RecognizerError, shipped

REPOSITORY = Path(__file__).parents[3]
EMOTIONS = ("happiness", "anger", "contempt", "surprise", "other")
NAMES = sorted(shipped())


@pytest.fixture(name="strangers", scope="module")
def _strangers(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Clips of people whom no shipped recognizer has seen, each class equally often."""
    return write_store(
        tmp_path_factory.mktemp("phantom") / "strangers",
        image_size=64,
        seed=1,
        subjects=5,
        first_subject=3800,
        counts=dict.fromkeys(EMOTIONS, 10),
        fps=15,
    )


def test_they_are_small_and_there_is_one_to_name_in_the_help() -> None:
    assert "phantom-ststnet" in NAMES
    assert 2 <= len(NAMES) <= 3
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*.*")) < 3e6


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_what_it_is(name: str) -> None:
    recognizer = recognizers.load(name, "cpu")
    card = recognizer.card
    assert card.sha256 == sha256_of_file(SHIPPED / name / WEIGHTS)
    assert card.note == RENDERED
    assert {part.phantom for part in card.data} == {3}
    assert sum(part.clips for part in card.data) == card.learned.clips
    paths = [Path(part.path) for part in (*card.data, *card.tested)]
    assert not any(path.is_absolute() for path in paths)
    numbers = {int(person.removeprefix("phantom/p")) for person in card.people}
    assert min(numbers) >= 3000  # below are those of the default store and of other trainings
    assert card.tested
    for tested in card.tested:
        assert not card.people & set(tested.people)
        estimate, low, high = tested.uar
        assert 0.2 < low < estimate < high  # of five classes, equally often


@pytest.mark.parametrize(
    "name",
    [
        name if name == "phantom-ststnet" else pytest.param(name, marks=pytest.mark.slow)
        for name in NAMES
    ],
)
def test_it_knows_expressions_of_strangers(name: str, strangers: ClipStore) -> None:
    recognizer = recognizers.load(name, "cpu")
    assert not set(strangers.subjects) & recognizer.card.people
    found = recognizer.predict_store(strangers)
    true = [str(label(clip.source, clip.emotion, "five")) for clip in found.clips]
    assert score(true, found.predicted, found.classes).uar > 0.4  # chance: 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_its_store_and_its_features_are_read_alike(
    name: str, strangers: ClipStore, tmp_path: Path
) -> None:
    recognizer = recognizers.load(name, "cpu")
    expected = recognizer.predict_store(strangers).probabilities
    data = build_inputs(strangers, recognizer.inputs, "five", features=recognizer.card.features)
    np.testing.assert_allclose(recognizer.predict_proba(data.inputs), expected, atol=1e-6)
    for place in (0, len(strangers) - 1):
        item = strangers[place]
        found = recognizer.predict_clip(item.frames, apex=item.clip.apex_index, aligned=True)
        np.testing.assert_allclose(found.probabilities[0], expected[place], atol=1e-6)


def test_the_command_takes_a_name_and_says_what_it_is_worth(
    strangers: ClipStore, tmp_path: Path
) -> None:
    call = ["predict", "--store", str(strangers.path), "--out", str(tmp_path / "p"), "--model"]
    done = CliRunner().invoke(app, [*call, "phantom-ststnet"])
    assert done.exit_code == 0, done.output
    assert f"phantom-ststnet: {RENDERED}" in done.output
    done = CliRunner().invoke(app, [*call, "phantom-nobody"])
    assert done.exit_code == 1
    assert "no recognizer at phantom-nobody; `recognizers fit --model MODEL" in done.output
    assert f"with the package come {', '.join(NAMES)}" in done.output
    with pytest.raises(RecognizerError, match="come phantom-"):
        recognizers.load("phantom-nobody")


def test_the_wheel_holds_them() -> None:
    """Hatchling packs whole folders, but for what git ignores."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = [str(file.relative_to(REPOSITORY)) for file in SHIPPED.rglob("*.*")]
    assert len(files) == 2 * len(NAMES)
    assert {Path(file).parts[0] for file in files} <= set(packages)
    if not (REPOSITORY / ".git").exists():
        pytest.skip("no checkout: nothing is ignored")
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *files], cwd=REPOSITORY, capture_output=True
    )
    assert (ignored.returncode, ignored.stdout) == (1, b"")  # none
