"""Training: what it leaves, what it learns from, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mersynth.config import ConfigError
from mersynth.face.template import HEAD, TIGHT, Framing
from mersynth.gan.checkpoint import CARD, SHIPPED, CheckpointError, load_card, load_generator
from mersynth.gan.motion_generator import MotionGenerator
from mersynth.gan.state import STATE
from mersynth.gan.train import train
from mersynth.gan.trainer import Trainer, TrainingError
from mersynth.phantom.population import write_store
from mersynth.store.clip_store import StoreError
from tests.gan.quick import quick, weights
from tests.tiny_store import HEADER, tiny_clips, write_tiny_store


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


def test_macro_faces_join_in(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    macro = write_tiny_store(tmp_path / "m", tiny_clips(subjects=3), measured=True)
    overrides = [*quick(1), f"macro_store={macro.path}"]
    train(store_path=store.path, out=tmp_path / "c", overrides=overrides)
    card = load_card(tmp_path / "c")
    assert card.training_subjects == macro.subjects
    assert card.config["macro_store"] == macro.checksum


@pytest.mark.parametrize(("macro_framing", "told"), [(HEAD, HEAD), (TIGHT, None), (None, None)])
def test_the_card_names_the_framing_only_if_there_is_one(
    tmp_path: Path, macro_framing: Framing | None, told: Framing | None
) -> None:
    framed = [{**HEADER, "framing": each and each.as_dict()} for each in (HEAD, macro_framing)]
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2), header=framed[0])
    macro = write_tiny_store(tmp_path / "m", measured=True, header=framed[1])
    overrides = [*quick(1), f"macro_store={macro.path}"]
    train(store_path=store.path, out=tmp_path / "c", overrides=overrides)
    assert load_card(tmp_path / "c").framing == told


def test_the_shipped_generator_takes_any_framing() -> None:
    assert load_card(SHIPPED).framing is None  # it learned from many: docs/framing.md


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


def test_health_of_critics_is_shown(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    train(store_path=store.path, out=tmp_path / "c", overrides=[*quick(2), "sample_every=1"])
    (log,) = (tmp_path / "c" / "logs").iterdir()
    events = EventAccumulator(str(log)).Reload()
    assert len(events.Scalars("critic/tint")) == 2
    assert all(event.value > 0 for event in events.Scalars("moved"))
