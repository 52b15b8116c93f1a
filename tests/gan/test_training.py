"""Training: it runs, resumes after a kill, keeps subjects apart and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mersynth.config import ConfigError
from mersynth.gan.checkpoint import CARD, CheckpointError, find_groups, load_card, load_generator
from mersynth.gan.data import ImageBatch
from mersynth.gan.monitor import Monitor
from mersynth.gan.motion_generator import MotionGenerator
from mersynth.gan.state import STATE
from mersynth.gan.train import split_subjects, train
from mersynth.gan.trainer import Trainer, TrainingError
from mersynth.phantom.population import write_store
from mersynth.state_files import load_state_file, save_state_file
from mersynth.store.clip_store import StoreError
from tests.tiny_store import tiny_clips, write_tiny_store

QUICK = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=2", "device=cpu"]


def quick(steps: int, every: int = 1000) -> list[str]:
    return [*QUICK, f"steps={steps}", f"checkpoint_every={every}", "sample_every=1000"]


def weights(folder: Path) -> str:
    return load_card(folder).sha256


def test_same_seed_same_weights(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(store_path=tmp_path / "s", out=tmp_path / name, seed=seed, overrides=quick(2))
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_card_says_what_was_trained(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    train(store_path=store.path, out=tmp_path / "c", seed=7, overrides=quick(1))
    generator, card = load_generator(tmp_path / "c", image_size=32)
    assert card.training_subjects == store.subjects
    assert (card.image_size, card.seed, card.step, card.unseen_subjects) == (32, 7, 1, ())
    assert card.config["gan"]["generator"]["channels"] == 8
    assert generator(torch.rand(1, 3, 32, 32), torch.zeros(1, 20, 2)).image.shape == (1, 3, 32, 32)
    assert (tmp_path / "c" / "samples" / "step_000001.png").exists()
    assert list((tmp_path / "c" / "logs").iterdir())


@pytest.mark.parametrize("true_frames", [0, 2])
def test_the_form_that_moves_learns_from_frames_of_any_size(
    tmp_path: Path, true_frames: int
) -> None:
    store = write_tiny_store(tmp_path / "s", image_size=48)
    settings = [*quick(2), "gan=tiny_motion", "conditions_each=2", "gain_pairs=8"]
    settings.append(f"true_frame_steps={true_frames}")
    train(store_path=store.path, out=tmp_path / "c", overrides=settings)
    generator, card = load_generator(tmp_path / "c", image_size=200)
    assert isinstance(generator, MotionGenerator)
    assert (card.image_size, card.any_size) == (32, True)
    assert generator.fields.weight.any()  # it began with zeros
    (log,) = (tmp_path / "c" / "logs").iterdir()
    events = EventAccumulator(str(log)).Reload()
    assert {"L_mo", "L_paint", "L_true"} <= set(events.Tags()["scalars"])


def test_weights_of_ganimation_do_not_fit_the_form_that_moves(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    settings = [*quick(1), "gan=tiny_motion", "gan.init_from=weights.pth"]
    with pytest.raises(CheckpointError, match=r"only fit gan.generator.form=paint"):
        train(store_path=store.path, out=tmp_path / "c", overrides=settings)


def test_a_training_starts_from_a_checkpoint(tmp_path: Path) -> None:
    """It keeps the weights, and the record of the people they were trained on."""
    first = write_tiny_store(tmp_path / "a", tiny_clips(subjects=4), measured=True)
    second = write_tiny_store(tmp_path / "b", tiny_clips(subjects=2))
    train(store_path=first.path, out=tmp_path / "c", overrides=quick(3))
    known = f"gan.init_from={tmp_path / 'c'}"
    idle = [*quick(1), known, "learning_rate=1e-12"]
    train(store_path=second.path, out=tmp_path / "d", overrides=idle)
    before, _ = load_generator(tmp_path / "c")
    after, card = load_generator(tmp_path / "d")
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    assert card.training_subjects == first.subjects
    assert card.config["gan"]["init_from"] == weights(tmp_path / "c")
    train(store_path=second.path, out=tmp_path / "d", resume=True, overrides=idle)
    with pytest.raises(CheckpointError, match="trained on people that this generator must not"):
        train(
            store_path=second.path,
            out=tmp_path / "e",
            subject_groups=2,
            overrides=[*quick(1), known],
        )
    other = [*quick(1), known, "gan.generator.channels=4"]
    with pytest.raises(CheckpointError, match=r"does not fit gan.generator: it has .*'channels'"):
        train(store_path=second.path, out=tmp_path / "f", overrides=other)


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


def test_subject_groups_never_see_their_own_subjects(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    folders = train(store_path=store.path, out=tmp_path / "c", subject_groups=2, overrides=quick(1))
    cards = [load_card(folder) for folder in folders]
    assert [folder.name for folder in folders] == ["group_0", "group_1"]
    for card in cards:
        assert not set(card.unseen_subjects) & set(card.training_subjects)
        assert sorted((*card.unseen_subjects, *card.training_subjects)) == list(store.subjects)
    assert sorted(cards[0].unseen_subjects + cards[1].unseen_subjects) == list(store.subjects)


def test_one_group_may_be_trained_beside_the_others(tmp_path: Path) -> None:
    """Each by a command of its own, in any order, to the weights of one command for all."""
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    settings = {"store_path": store.path, "subject_groups": 2, "overrides": quick(1)}
    together = train(**settings, out=tmp_path / "a")
    apart = [train(**settings, out=tmp_path / "b", group=k) for k in (1, 0)]
    assert apart == [[tmp_path / "b" / "group_1"], [tmp_path / "b" / "group_0"]]
    assert find_groups(tmp_path / "b") == [tmp_path / "b" / "group_0", tmp_path / "b" / "group_1"]
    for folder in together:
        assert weights(tmp_path / "b" / folder.name) == weights(folder)
    with pytest.raises(CheckpointError, match=r"group_1 exists already"):
        train(**settings, out=tmp_path / "b", group=1)
    with pytest.raises(ValueError, match=r"--group must lie in 0..1, got 2"):
        train(**settings, out=tmp_path / "b", group=2)


def test_a_loss_that_is_not_a_number_stops_before_anything_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    step = Trainer.generator_step

    def broken(self: Trainer, *arguments: Any) -> dict[str, torch.Tensor]:
        if arguments[3] == 2:  # counted from 0
            self.weights.ssim = float("nan")
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "generator_step", broken)
    with pytest.raises(TrainingError, match="the generator loss became infinite or NaN"):
        train(store_path=store.path, out=tmp_path / "c", overrides=quick(6, every=2))
    assert load_card(tmp_path / "c").step == 2
    state = load_file(tmp_path / "c" / STATE)
    assert all(value.isfinite().all() for value in state.values())


def test_fakes_may_be_made_afresh_for_the_generator(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    made = []
    for shared in ("true", "false"):
        out = tmp_path / shared
        overrides = [*quick(1), f"share_fakes={shared}"]
        train(store_path=store.path, out=out, overrides=overrides)
        made.append(load_file(out / STATE))
    different = {name for name in made[0] if not made[0][name].equal(made[1][name])}
    # The critic's step is the same, the generator's has another batch.
    assert different
    assert all(name.startswith(("generator/", "average/", "optimiser/gen")) for name in different)


def test_groups_have_about_equally_many_clips(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=9)[:-12]  # the last subjects have fewer clips or none
    store = write_tiny_store(tmp_path / "s", clips, image_size=8)
    groups = split_subjects(store, 3, seed=0)
    sizes = [sum(clip.subject_id in group for clip in clips) for group in groups]
    assert sum(sizes) == len(clips)
    assert max(sizes) - min(sizes) <= 5
    assert groups == split_subjects(store, 3, seed=0)
    for count in (0, 99):
        with pytest.raises(ValueError, match=rf"got {count}"):
            split_subjects(store, count, seed=0)


def test_macro_faces_join_in(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    macro = write_tiny_store(tmp_path / "m", tiny_clips(subjects=3), measured=True)
    overrides = [*quick(1), f"macro_store={macro.path}"]
    train(store_path=store.path, out=tmp_path / "c", overrides=overrides)
    card = load_card(tmp_path / "c")
    assert card.training_subjects == macro.subjects
    assert card.config["macro_store"] == macro.checksum


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


def test_wrong_image_size_is_refused(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", image_size=16)
    with pytest.raises(StoreError, match=r"have 16 pixels, the configuration has 32"):
        train(store_path=store.path, out=tmp_path / "c", overrides=quick(1))
    assert not (tmp_path / "c").exists()


def test_wrong_override_is_refused(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    with pytest.raises(ConfigError, match="stepps"):
        train(store_path=store.path, out=tmp_path / "c", overrides=["stepps=3"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch_size=0", "batch_size must be in 1..10000, got 0"),
        ("macro_share=2", r"macro_share must be in 0..1, got 2"),
        ("steps=0", "steps must be in 1..1000000000"),
        ("gan.losses.ssim_target=foo", "must be one of truth, input, got 'foo'"),
        ("device=foo", "device must be one of auto, cpu, cuda, got 'foo'"),
        ("precision=foo", "precision must be one of"),
        pytest.param(
            *("device=cuda", "there is no CUDA device; use device=cpu"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
        ("gan.generator.form=clay", "gan.generator.form must be one of motion, paint, got 'clay'"),
        ("conditions_each=0", "conditions_each must be in 1..1000"),
        ("gain_pairs=-1", "gain_pairs must be in 0..1000000"),
        ("share_fakes=2", "share_fakes=2': the value must be true or false"),
        ("gan.num_frames=1", "gan.num_frames must be in 2..1000"),
        ("gan.image_size=40", "gan.image_size must be a multiple of 16"),
        ("betas=[0.5]", "betas must be two numbers"),
        ("gan.init_from=nowhere.pth", "no weights at nowhere.pth"),
        ("macro_store=nowhere", "no store at nowhere"),
    ],
)
def test_values_that_make_no_sense_leave_nothing(
    tmp_path: Path, override: str, message: str
) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1))
    with pytest.raises((ConfigError, CheckpointError, StoreError), match=message):
        train(store_path=store.path, out=tmp_path / "c", overrides=[*quick(1), override])
    assert not (tmp_path / "c").exists()


def test_kill_between_generator_and_state_is_mended(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1))
    settings = {"store_path": store.path, "out": tmp_path / "c", "overrides": quick(2, every=1)}
    train(**settings)
    finished = weights(tmp_path / "c")
    shutil.copytree(tmp_path / "c", tmp_path / "half")
    (tmp_path / "half" / STATE).unlink()
    train(**settings | {"out": tmp_path / "half"}, resume=True)
    assert weights(tmp_path / "half") == finished


def test_layouts_are_not_mixed(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    settings = {"store_path": store.path, "overrides": quick(1), "resume": True}
    train(**settings, out=tmp_path / "one")
    with pytest.raises(CheckpointError, match="begun without --subject-groups"):
        train(**settings, out=tmp_path / "one", subject_groups=2)
    train(**settings, out=tmp_path / "two", subject_groups=2)
    with pytest.raises(CheckpointError, match="begun with --subject-groups"):
        train(**settings, out=tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "group_1")
    with pytest.raises(CheckpointError, match="holds 1 of 2 generators"):
        find_groups(tmp_path / "two")


def test_clips_without_aus_cannot_train(tmp_path: Path) -> None:
    clips = [clip for clip in tiny_clips(subjects=1) if clip.emotion == "anger"]
    store = write_tiny_store(tmp_path / "s", [dataclasses.replace(c, aus="?") for c in clips])
    with pytest.raises(ValueError, match=r"no clip of .* has a known Action Unit"):
        train(store_path=store.path, out=tmp_path / "c", overrides=quick(1))


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    folder = tmp_path / "c"
    train(store_path=store.path, out=folder, overrides=quick(1))
    with pytest.raises(CheckpointError, match=r"images of 32 pixels, the store's frames have 64"):
        load_generator(folder, image_size=64)
    with pytest.raises(CheckpointError, match=r", not \[1, 2\]"):
        load_generator(folder, aus=(1, 2))
    card = load_card(folder)
    (folder / card.weights).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"missing or damaged"):
        load_generator(folder)
    (folder / CARD).write_text(json.dumps({"aus": []}))
    with pytest.raises(CheckpointError, match=r"generator.json is damaged"):
        load_generator(folder)
    with pytest.raises(CheckpointError, match=r"no generator at .*none"):
        load_generator(tmp_path / "none")


def test_true_frames_alone_teach_the_generator(tmp_path: Path) -> None:
    """With the clip's own conditions, steps of L_SSIM alone bring the faces closer to the truth."""
    store = write_store(
        tmp_path / "s", image_size=32, subjects=2, counts={"anger": 4}, max_frames=6
    )
    overrides = [*quick(40), "true_frame_steps=40", "learning_rate=1e-3"]
    train(store_path=store.path, out=tmp_path / "c", overrides=overrides)
    loss = [event.value for event in scalars(tmp_path / "c" / "logs", "L_SSIM")]
    assert len(loss) == 40
    assert np.mean(loss[-10:]) < 0.9 * np.mean(loss[:10])


def scalars(folder: Path, name: str) -> list:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator.Scalars(name)


def test_a_video_critic_may_be_left_out(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    states = []
    for steps in (1, 2):
        out = tmp_path / str(steps)
        train(store_path=tmp_path / "s", out=out, overrides=[*quick(steps), "video_every=0"])
        states.append(load_file(out / STATE))
    same = [name for name in states[0] if states[0][name].equal(states[1][name])]
    critics = [name for name in states[0] if name.startswith("video_critic/")]
    assert critics
    assert same == critics


@pytest.mark.parametrize("name", ["cpu"])
@pytest.mark.parametrize("true_frame_steps", [1, 2])
def test_experiments_compose_and_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, true_frame_steps: int
) -> None:
    caplog.set_level("INFO")
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2), image_size=64)
    steps = ["steps=2", f"true_frame_steps={true_frame_steps}", "au_reading_steps=1"]
    steps += ["critic_steps=1", "gan.image_critic.channels=8", "gan.video_critic.channels=8"]
    few = ["batch_size=2", "conditions_each=2", "gain_pairs=8"]
    overrides = [f"experiment={name}", *few, *steps]
    train(store_path=store.path, out=tmp_path / "c", overrides=overrides)
    assert load_card(tmp_path / "c").step == 2
    # The critic learns to read AUs only where a generator will ask it.
    assert ("the image critic reads AUs" in caplog.text) == (true_frame_steps < 2)


@pytest.mark.parametrize(("mean", "warned"), [(0.5, False), (0.999, True), (0.01, True)])
def test_saturated_mask_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mean: float, warned: bool
) -> None:
    monitor = Monitor(tmp_path, first_step=0)
    monitor.log({"mask/mean": torch.tensor(mean)}, step=1)
    monitor.flush()
    monitor.close()
    assert ("has saturated" in caplog.text) == warned


@pytest.mark.parametrize(("mean", "warned"), [(0.999, False), (0.01, True)])
def test_with_a_motion_head_the_mask_may_keep_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mean: float, warned: bool
) -> None:
    monitor = Monitor(tmp_path, first_step=0)
    monitor.log({"mask/mean": torch.tensor(mean), "L_mo": torch.tensor(0.0)}, step=1)
    monitor.flush()
    monitor.close()
    assert ("has saturated" in caplog.text) == warned


@pytest.mark.gpu
def test_training_on_a_gpu_lowers_what_it_minimises(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s", measured=True)
    overrides = [*quick(30), "device=cuda", "precision=bf16-mixed"]
    train(store_path=tmp_path / "s", out=tmp_path / "c", overrides=overrides)
    state = load_file(tmp_path / "c" / STATE)
    assert all(np.isfinite(value.float().numpy()).all() for value in state.values())


def test_figures_go_where_the_config_says_and_the_generator_does_not_depend_on_it(
    tmp_path: Path,
) -> None:
    store = write_tiny_store(tmp_path / "s")
    train(store_path=store.path, out=tmp_path / "a", overrides=[*quick(2), "logger=none"])
    train(store_path=store.path, out=tmp_path / "b", overrides=quick(2))
    assert not (tmp_path / "a" / "logs").exists()
    assert (tmp_path / "b" / "logs").exists()
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert load_card(tmp_path / "a").config == load_card(tmp_path / "b").config
    # One that was begun with the other word goes on.
    resumed = [*quick(2), "logger=tensorboard"]
    train(store_path=store.path, out=tmp_path / "a", resume=True, overrides=resumed)


def test_environment_is_left_alone(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    before = (torch.random.get_rng_state().clone(), dict(os.environ), torch.get_num_threads())
    train(store_path=store.path, out=tmp_path / "c", overrides=quick(1))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == dict(os.environ)
    assert before[2] == torch.get_num_threads()


def test_a_generator_that_stops_moving_faces_is_stopped(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, first_step=0)

    def log(moved: float, steps: range) -> None:
        for step in steps:
            monitor.log({"moved": torch.tensor(moved)}, step)
        monitor.flush()

    log(0.6, range(250))
    log(0.3, range(250, 500))
    with pytest.raises(TrainingError, match=r"change by 0.0\d\d of .* after 0.60 earlier"):
        log(0.001, range(500, 800))
    monitor.close()


def test_health_of_critics_is_shown(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    train(store_path=store.path, out=tmp_path / "c", overrides=[*quick(2), "sample_every=1"])
    (log,) = (tmp_path / "c" / "logs").iterdir()
    events = EventAccumulator(str(log)).Reload()
    assert len(events.Scalars("critic/tint")) == 2
    assert all(event.value > 0 for event in events.Scalars("moved"))
