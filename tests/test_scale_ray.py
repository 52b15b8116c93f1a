"""Work on a Ray cluster of two machines, which are played by two nodes on this one."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mersynth.gan.train import train
from mersynth.store.clip_store import ClipStore
from mersynth.synthesis.generate import generate
from recognizers.executors import make_executor
from recognizers.experiment.evaluate import evaluate
from tests.recognizers.data.tiny_features import write
from tests.recognizers.experiment.tiny_experiment import request
from tests.script_modules import run_script
from tests.tiny_store import tiny_clips, write_tiny_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed: mersynth[ray]"
    ),
]

OVERRIDES = ["num_frames=4", "batch_clips=2", "device=cpu"]
TRAIN = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=0", "steps=1"]


@pytest.fixture(scope="module", name="address")
def _address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


def node_of(seconds: float) -> str:
    """The node that a call runs on. Ray is only imported where it is installed."""
    import ray

    time.sleep(seconds)
    return str(ray.get_runtime_context().get_node_id())


def test_calls_run_on_both_machines(address: str) -> None:
    with make_executor({"name": "ray", "address": address}) as executor:
        assert executor.at_once == 2
        nodes = {node for _, node in executor.run(node_of, [(0.5,)] * 8)}
    assert len(nodes) == 2


def test_a_run_on_two_machines_is_that_of_one(address: str, tmp_path: Path) -> None:
    data = write(tmp_path / "samm.npz")
    here = evaluate(request(data, seeds=2), tmp_path / "here")
    plain = [word for word in request(data).overrides if not word.startswith("executor.")]
    on_ray = replace(
        request(data, seeds=2),
        overrides=[*plain, "executor=ray", f"executor.address={address}"],
    )
    there = evaluate(on_ray, tmp_path / "there")
    assert (there / "predictions.csv").read_bytes() == (here / "predictions.csv").read_bytes()


def test_a_store_made_on_two_machines_has_the_bytes_of_one(address: str, tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=6, each=2))
    train(store_path=store.path, out=tmp_path / "g", overrides=[*TRAIN, "device=cpu"])
    plan = {"per_class": 7, "store": store.path, "checkpoint": tmp_path / "g"}
    here = generate(**plan, out=tmp_path / "here", overrides=OVERRIDES)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in plan.items()]
    ran = run_script(
        "generate_on_ray",
        *("--shards", 3, "--address", address, "--"),
        *(*options, "--out", tmp_path / "there", *OVERRIDES),
    )
    assert ran.code == 0, ran.stderr
    assert here is not None
    assert ClipStore.open(tmp_path / "there").checksum == here.checksum
