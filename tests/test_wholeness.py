"""``mersynth doctor`` and ``recognizers doctor`` of what was written: whole, or what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from mersynth.cli import app as mersynth
from mersynth.gan.checkpoint import SHIPPED
from mersynth.store.writer import StoreWriter
from recognizers.cli import app as recognizers
from recognizers.trained.card import shipped
from tests.recognizers.report.tiny_run import write_tiny_run
from tests.tiny_store import tiny_clips, write_tiny_store


def asked(app: object, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])  # type: ignore[arg-type]


def changed(file: Path) -> None:
    """Change a byte in the middle of a file, and nothing that a quick look shows."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_whole_store_and_a_damaged_one(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    whole = asked(mersynth, "--store", store.path)
    assert whole.exit_code == 0, whole.output
    assert f"s is whole: {len(store)} clips of {len(store.subjects)} people, " in whole.output
    changed(store.path / "frames.npy")
    damaged = asked(mersynth, "--store", store.path)
    assert damaged.exit_code == 1
    assert "frames.npy is damaged: its SHA-256" in damaged.output
    lost = asked(mersynth, "--store", tmp_path / "none")
    assert lost.exit_code == 1
    assert "no store at" in lost.output


def test_a_store_that_was_begun(tmp_path: Path) -> None:
    clips = tiny_clips()
    source = write_tiny_store(tmp_path / "source", clips)
    with StoreWriter(tmp_path / "s", clips, source.image_size, {"source": "samm"}) as writer:
        for item in source[:3]:
            writer.add(item.frames, item.intensities, item.landmarks)
        writer.commit()
    begun = asked(mersynth, "--store", tmp_path / "s")
    assert begun.exit_code == 1
    told = " ".join(begun.output.split())
    assert "s was begun and not finished: 3 clips are kept; repeat the command" in told


def test_a_whole_checkpoint_and_a_damaged_one(tmp_path: Path) -> None:
    whole = asked(mersynth, "--checkpoint", SHIPPED)
    assert whole.exit_code == 0, whole.output
    assert "is whole: a generator of 96 pixels" in whole.output
    copy = tmp_path / "c"
    shutil.copytree(SHIPPED, copy)
    changed(next(copy.glob("*.safetensors")))
    damaged = asked(mersynth, "--checkpoint", copy)
    assert damaged.exit_code == 1
    assert "missing or damaged (its SHA-256 is not the one" in damaged.output
    next(copy.glob("*.safetensors")).unlink()
    assert asked(mersynth, "--checkpoint", copy).exit_code == 1


def test_runs_and_recognizers(tmp_path: Path) -> None:
    path = write_tiny_run(tmp_path / "run")
    for app in (mersynth, recognizers):
        whole = asked(app, "--run", path)
        assert whole.exit_code == 0, whole.output
        assert "run is whole: " in whole.output
    fold = next((path / "folds").glob("*.json"))
    fold.write_text(fold.read_text()[:-20])
    assert asked(recognizers, "--run", path).exit_code == 1
    assert asked(mersynth, "--run", path).exit_code == 1
    (path / "results.json").unlink()
    unfinished = asked(recognizers, "--run", path)
    assert unfinished.exit_code == 1
    assert "holds 12 folds of a run that it does not name" in unfinished.output
    name, folder = next(iter(shipped().items()))
    kept = asked(recognizers, "--model", folder, "--model", name)
    assert kept.exit_code == 0, kept.output
    assert kept.output.count("is whole: ststnet") + kept.output.count("is whole: sssn") == 2
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    changed(next(copy.glob("*.safetensors")))
    assert asked(recognizers, "--model", copy).exit_code == 1
    nothing = asked(recognizers)
    assert nothing.exit_code == 2
    assert "give --run or --model" in nothing.output
