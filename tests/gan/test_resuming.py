"""A training that was stopped goes on, to the same weights and only with the same settings."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mersynth.disk.state_files import load_state_file, save_state_file
from mersynth.gan.checkpoint import CARD, CheckpointError, load_card
from mersynth.gan.data import ImageBatch
from mersynth.gan.state import STATE
from mersynth.gan.train import train
from mersynth.gan.trainer import Trainer
from tests.gan.quick import quick, weights
from tests.tiny_store import tiny_clips, write_tiny_store


def test_learning_to_read_aus_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    settings = [*quick(1, every=2), "au_reading_steps=4"]
    train(store_path=store.path, out=tmp_path / "whole", overrides=settings)
    read, done = Trainer.au_reading_step, []

    def stopped(self: Trainer, images: ImageBatch) -> dict[str, torch.Tensor]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(images)
        return read(self, images)

    monkeypatch.setattr(Trainer, "au_reading_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(store_path=store.path, out=tmp_path / "c", overrides=settings)
    assert not (tmp_path / "c" / CARD).exists()
    done.clear()
    train(store_path=store.path, out=tmp_path / "c", resume=True, overrides=settings)
    assert len(done) == 2  # of steps 1 to 4, those after the state that was kept
    assert weights(tmp_path / "c") == weights(tmp_path / "whole")


def test_resume_after_kill_gives_the_same_weights(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    settings = [*quick(6, every=2), "true_frame_steps=3"]
    train(store_path=tmp_path / "s", out=tmp_path / "whole", overrides=settings)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mersynth", "train", "--store", str(tmp_path / "s")]
    process = subprocess.Popen([*command, "--out", str(out), *settings], stderr=subprocess.DEVNULL)
    while not (out / CARD).exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_card(out).step < 6
    train(store_path=tmp_path / "s", out=out, resume=True, overrides=settings)
    assert weights(out) == weights(tmp_path / "whole")
    one, other = load_file(out / STATE), load_file(tmp_path / "whole" / STATE)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_resume_of_another_run_is_refused(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    train(store_path=store.path, out=tmp_path / "c", overrides=quick(1))
    with pytest.raises(CheckpointError, match=r"config.steps was 1, is 2"):
        train(store_path=store.path, out=tmp_path / "c", resume=True, overrides=quick(2))
    with pytest.raises(CheckpointError, match=r"seed was 0, is 5"):
        train(store_path=store.path, out=tmp_path / "c", resume=True, seed=5, overrides=quick(1))
    with pytest.raises(CheckpointError, match=r"exists already; add --resume"):
        train(store_path=store.path, out=tmp_path / "c", overrides=quick(1))
    state = tmp_path / "c" / STATE
    whole = state.read_bytes()
    tensors, metadata = load_state_file(state)
    read = tensors["image_critic/aus.weight"]
    before_sides = tensors | {"image_critic/aus.weight": read[: len(read) // 2]}
    save_state_file(state, before_sides, metadata)
    with pytest.raises(CheckpointError, match=r"another version.*aus.weight.*\(20, .*\(40"):
        train(store_path=store.path, out=tmp_path / "c", resume=True, overrides=quick(1))
    state.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"is damaged: its values do not match"):
        train(store_path=store.path, out=tmp_path / "c", resume=True, overrides=quick(1))
    state.write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"cannot be read"):
        train(store_path=store.path, out=tmp_path / "c", resume=True, overrides=quick(1))


def test_the_precision_chosen_is_kept_and_another_machines_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1))
    settings = {"store_path": store.path, "out": tmp_path / "c", "overrides": quick(1)}
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    train(**settings)
    assert load_card(tmp_path / "c").config["precision"] == "32-true"
    assert "precision=auto is 32-true" in caplog.text
    train(**settings, resume=True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    with pytest.raises(CheckpointError, match=r"was '32-true', is 'bf16-mixed'.*precision=32-true"):
        train(**settings, resume=True)
    train(**settings | {"overrides": [*quick(1), "precision=32-true"]}, resume=True)


def test_kill_between_generator_and_state_is_mended(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1))
    settings = {"store_path": store.path, "out": tmp_path / "c", "overrides": quick(2, every=1)}
    train(**settings)
    finished = weights(tmp_path / "c")
    shutil.copytree(tmp_path / "c", tmp_path / "half")
    (tmp_path / "half" / STATE).unlink()
    train(**settings | {"out": tmp_path / "half"}, resume=True)
    assert weights(tmp_path / "half") == finished
