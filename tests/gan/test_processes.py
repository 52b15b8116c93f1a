"""Several processes that train one generator do what one does with the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mersynth.config import ConfigError
from mersynth.gan.settings import check_shares, load_settings
from mersynth.gan.state import STATE
from mersynth.gan.train import train
from tests.tiny_store import write_tiny_store

#: After one step Adam's first moment is half the gradient; weights hardly move, so that rounding in
#: the critics does not reach the generator's.
ONE_STEP = [
    *("batch_size=4", "critic_steps=1", "au_reading_steps=0", "steps=1", "device=cpu"),
    # CPUs with fast bfloat16 would round the gradients to three digits.
    *("precision=32-true", "learning_rate=1e-12", "critic_learning_rate=1e-12"),
]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tiny", "tiny_motion"])
def test_two_processes_have_the_gradients_of_one(tmp_path: Path, form: str) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    settings = [f"gan={form}", "conditions_each=2", "gain_pairs=0", *ONE_STEP]
    train(store_path=store.path, out=tmp_path / "one", overrides=settings)
    starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = ["-m", "mersynth", "train", "--store", str(store.path)]
    command += ["--out", str(tmp_path / "two"), *settings]
    done = subprocess.run([*starter, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("micro clips, ") == 1  # the first process speaks for both
    one, two = (load_file(tmp_path / name / STATE) for name in ("one", "two"))
    moments = [name for name in one if name.endswith("/exp_avg")]
    assert len(moments) > 20
    for name in moments:
        largest = one[name].abs().max().item()
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-4 * largest + 1e-7)
    assert len(list((tmp_path / "two" / "logs").iterdir())) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch_size=3", "batch_size must be a multiple of the 2 processes, got 3"),
        ("video_batch_size=1", "video_batch_size must be a multiple of the 2 processes, got 1"),
        ("gan.losses.consistency_every=4", r"2 conditions .* multiple of .*consistency_every=4"),
    ],
)
def test_batches_must_divide_among_processes(override: str, message: str) -> None:
    config = load_settings(["gan=tiny", "batch_size=4", override])
    check_shares(config, 1)
    with pytest.raises(ConfigError, match=message):
        check_shares(config, 2)
