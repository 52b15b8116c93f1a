"""Runs whose folds and seeds are shared by several processes."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from mersynth.disk.lock import InUseError, hold
from mersynth.shards import Shard
from recognizers.experiment.evaluate import evaluate
from recognizers.runs import RunError
from tests.recognizers.experiment.tiny_experiment import folds, request

pytestmark = pytest.mark.usefixtures("hear")


def test_shares_of_a_run_are_pooled_to_the_figures_of_one_process(
    data: Path, tmp_path: Path
) -> None:
    ask = request(data, seeds=2)
    whole = evaluate(ask, tmp_path / "whole")
    run = tmp_path / "run"
    done = []
    for number in (5, 1, 3, 2):
        evaluate(ask, run, Shard(number, 5))
        done.append(len(folds(run)))
        assert not (run / "results.json").exists()
    assert done == [3, 5, 8, 10]  # of six people and two seeds
    evaluate(ask, run)  # runs what is missing, and pools
    for name in ("predictions.csv", "oracle.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_folds_with_one_pretraining_are_one_share(data: Path, made: Path, tmp_path: Path) -> None:
    ask = request(data, "pretraining.epochs=1", pretrain=[made], seeds=2)
    run = tmp_path / "r"
    evaluate(ask, run, Shard(2, 6))  # of three generators and two seeds
    assert [file.stem for file in (run / "pretrained").glob("*.json")] == ["0_0001"]
    assert [file.stem for file in sorted((run / "folds").glob("*.json"))] == ["0_0002", "0_0003"]
    with pytest.raises(ValueError, match="--shard 1/7: there are only 6 folds or pretrainings"):
        evaluate(ask, run, Shard(1, 7))


def test_seeds_with_one_pretraining_are_one_share(data: Path, made: Path, tmp_path: Path) -> None:
    once = ("pretraining.epochs=1", "pretraining.one_for_all_seeds=true")
    run = tmp_path / "r"
    evaluate(request(data, *once, pretrain=[made], seeds=2), run, Shard(2, 3))
    assert [file.stem for file in (run / "pretrained").glob("*.json")] == ["0_0001"]
    names = sorted(file.stem for file in (run / "folds").glob("*.json"))
    assert names == ["0_0002", "0_0003", "1_0002", "1_0003"]


def test_shares_of_another_run_and_of_one_in_use_are_refused(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    evaluate(request(data), run, Shard(1, 6))
    with pytest.raises(RunError, match="holds another run"):
        evaluate(request(data, "model.training.epochs=7"), run, Shard(2, 6))
    refused: list[str] = []

    def pool(*shard: Shard) -> None:
        try:
            evaluate(request(data), run, *shard)
        except InUseError as error:
            refused.append(str(error))

    with hold(tmp_path / "r.2_of_6"):  # as its process does
        for shard in ((), (Shard(2, 6),)):
            thread = Thread(target=pool, args=shard)  # a thread may nest its own locks
            thread.start()
            thread.join()
    assert len(refused) == 2
    assert all("is being written by" in text for text in refused)
    evaluate(request(data), run)
    assert len(folds(run)) == 6
