"""Trained recognizers on disk and in use: what is kept, what they predict, what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

import recognizers
from mersynth.config import ConfigError
from mersynth.disk.files import checksum_of
from mersynth.store.clip_store import ClipStore
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.preparation import load_settings, prepare
from recognizers.experiment.request import Request
from recognizers.explain import explain
from recognizers.models import create_model
from recognizers.runs import RunError
from recognizers.trained.card import RecognizerError, save_recognizer
from recognizers.trained.fitting import card_of, fit
from recognizers.training.fold_work import learn_all
from recognizers.training.trainer import Training
from tests.recognizers.data.tiny_features import SIZE, features, synthetic, write
from tests.recognizers.experiment.tiny_experiment import QUICK, folds, request, results
from tests.tiny_store import tiny_clips, write_tiny_store

SHALLOW = (*QUICK[1:2], "model.training.epochs=1", "device=cpu")


def asked(data: Path, model: str = "ststnet_tiny", *overrides: str, **options: Any) -> Request:
    overrides = overrides or SHALLOW
    return Request(split="fit", model=model, data=[data], overrides=overrides, **options)


@pytest.fixture(name="fitted", scope="module")
def _fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """STSTNet on a feature file."""
    return fit(asked(data), tmp_path_factory.mktemp("models") / "ststnet")


@pytest.fixture(name="copied")
def _copied(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "copy"))


def test_what_is_kept_predicts_as_its_training_does(data: Path, tmp_path: Path) -> None:
    ask = asked(data, seed=3)
    run = prepare(ask, load_settings(ask))
    clips, rows = run.work.clips, range(20)
    torch.manual_seed(0)
    model = create_model("ststnet", 3, **run.work.options)
    training = Training(model, clips, rows, run.work.training, {}, torch.device("cpu"))
    training.run(lambda epoch: None)
    everything = range(len(clips.clips))
    expected = training.predict(everything)
    statistics = {
        name: (mean.flatten().numpy(), deviation.flatten().numpy())
        for name, (mean, deviation) in training.statistics.items()
    }
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    card = card_of(run, rows, None, statistics, 1, 3)
    save_recognizer(tmp_path / "m", weights, card)
    loaded = recognizers.load(tmp_path / "m", "cpu")
    predicted = loaded.predict_file(data)
    np.testing.assert_allclose(predicted.probabilities, expected, rtol=0, atol=1e-12)
    assert predicted.probabilities.dtype == np.float64
    assert [clip.id for clip in predicted.clips] == [clip.id for clip in clips.clips]
    assert loaded.classes == ("negative", "positive", "surprise")
    assert predicted.predicted == [loaded.classes[i] for i in expected.argmax(1)]
    assert msgspec.structs.replace(loaded.card, sha256="") == card
    part = {"flow_strain": features()["x"][:7]}
    np.testing.assert_allclose(loaded.predict_proba(part), expected[:7], atol=1e-6)


def test_what_a_system_learned_beside_its_gradients_is_kept(tmp_path: Path) -> None:
    """The graph of MER-GCN is that of the AUs of its training clips, and lies in no parameter."""
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    ask = asked(store.path, "mer_gcn_tiny", "device=cpu", "model.training.epochs=1")
    run = prepare(ask, load_settings(ask))
    learned = learn_all(run.work, None, 0, lambda epoch: None)
    card = card_of(run, range(10), None, learned.statistics, 1, 0)
    save_recognizer(tmp_path / "m", learned.weights, card)
    model = create_model(run.work.model, 5, **run.work.options)
    settings, device = run.work.training, torch.device("cpu")
    training = Training(model, run.work.clips, range(10), settings, {}, device)
    model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in learned.weights.items()})
    predicted = recognizers.load(tmp_path / "m", "cpu").predict_store(store)
    np.testing.assert_allclose(predicted.probabilities, training.predict(range(10)), atol=1e-6)
    assert predicted.clips == store.clips


def test_a_fold_predicts_its_clips_as_the_run_says_without_the_runs_data(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=2))
    ask = request(store.path, "keep_weights=true", "model.training.epochs=2", groups=2)
    run = evaluate(ask, tmp_path / "run")
    moved = Path(shutil.move(store.path, tmp_path / "elsewhere"))
    for index, record in enumerate(folds(run)):
        loaded = recognizers.load(run / "folds" / f"0_{index:04}")
        predicted = loaded.predict_store(moved)
        row = {clip.id: i for i, clip in enumerate(predicted.clips)}
        own = predicted.probabilities[[row[clip] for clip in record["clips"]]]
        np.testing.assert_allclose(own, record["probabilities"], atol=1e-6)
        told = results(run)["folds"][index]
        tested = set(told["tested"])
        assert set(loaded.card.learned.people) == {f"samm/{i:03}" for i in range(2)} - tested
        assert (loaded.card.fold, loaded.card.learned.clips) == (told["name"], told["train"])
        assert (loaded.card.scheme, loaded.card.image_size) == ("five", 32)
        sha256 = record["weights"]
        assert loaded.card.sha256 == sha256
    with pytest.raises(RecognizerError, match=r"a run of several recognizers; name one .*/0_0000"):
        recognizers.load(run)
    with pytest.raises(RecognizerError, match=r"part of a fold; name the folder .*0_0001$"):
        recognizers.load(run / "folds" / "0_0001.json")


def test_a_run_without_recognizers_says_how_to_keep_them(data: Path, tmp_path: Path) -> None:
    run = evaluate(request(data, "model.training.epochs=1", groups=2), tmp_path / "run")
    for place in (run, run / "folds" / "0_0000"):
        with pytest.raises(RecognizerError, match=r"repeat the command .* with keep_weights=true"):
            recognizers.load(place)
    again = request(data, "model.training.epochs=1", "keep_weights=true", groups=2)
    evaluate(again, run)
    assert recognizers.load(run / "folds" / "0_0000").card.split == "loso"
    flip(run / "folds" / "0_0001")
    with pytest.raises(RunError, match=r"0_0001/recognizer\.safetensors is missing or damaged"):
        explain(run, "grad-cam")
    assert not (run / "explain").exists()


def test_whom_training_and_pretraining_saw_is_kept_and_told(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = synthetic(tmp_path / "made.npz", [["samm/06"], ["samm/07"], ["samm/08"]])
    ask = asked(data, pretrain=[made], mix=[])
    card = recognizers.load(fit(ask, tmp_path / "m")).card
    assert card.learned.people == tuple(f"samm/{i:02}" for i in range(6))
    assert card.learned.generators == ()
    assert card.pretrained is not None
    assert card.pretrained.people == ("samm/06", "samm/07", "samm/08")
    assert card.pretrained.generators == ("sha0", "sha1", "sha2")
    assert (card.pretrained.clips, card.pretrained.synthetic) == (27, 27)
    loaded = recognizers.load(tmp_path / "m")
    others = write(tmp_path / "o.npz", people=3, subject=np.repeat(["8", "9", "10"], 5))
    caplog.set_level(logging.WARNING)
    loaded.predict_file(others)
    assert "has seen 1 of 3 people before, so that this is no test of it: samm/8" in caplog.text
    caplog.clear()
    loaded.predict_file(write(tmp_path / "s.npz", people=1, subject=["70"] * 5))
    assert not caplog.records


def test_synthetic_clips_alone_may_be_learned_from(made: Path, tmp_path: Path) -> None:
    learned = recognizers.load(fit(asked(made), tmp_path / "m")).card.learned
    assert (learned.clips, learned.synthetic) == (27, 27)


def spoil(**changes: Any) -> Callable[[Path], None]:
    """Change a card as if it had been written so."""

    def change(folder: Path) -> None:
        file = folder / "recognizer.json"
        facts = json.loads(file.read_text()) | changes
        bare = {k: v for k, v in facts.items() if k not in ("weights", "sha256", "checksum")}
        file.write_text(json.dumps(facts | {"checksum": checksum_of(bare)}))

    return change


def edit(old: str, new: str) -> Callable[[Path], None]:
    """Change a card by hand."""

    def change(folder: Path) -> None:
        file = folder / "recognizer.json"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))

    return change


def flip(folder: Path) -> None:
    file = folder / "recognizer.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_card_without_note_and_tests_is_read(copied: Path) -> None:
    """As recognizers were kept before there were shipped ones."""
    file = copied / "recognizer.json"
    facts = json.loads(file.read_text())
    assert (facts.pop("note"), facts.pop("tested")) == ("", [])  # no rendered store, no test
    bare = {k: v for k, v in facts.items() if k not in ("weights", "sha256", "checksum")}
    file.write_text(json.dumps(facts | {"checksum": checksum_of(bare)}))
    card = recognizers.load(copied).card
    assert (card.note, card.tested) == ("", ())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, r"recognizer\.safetensors is missing or damaged \(its SHA-256 .*; fit the recog"),
        (
            lambda folder: (folder / "recognizer.safetensors").unlink(),
            r"recognizer\.safetensors is missing or damaged",
        ),
        (lambda folder: (folder / "recognizer.json").write_text("{"), r"json is damaged \(Input"),
        (edit('"surprise"', '"sadness"'), r"json is damaged \(its checksum is not that of its con"),
        (spoil(format=9), r"has format 9, this mersynth reads 2; .*install the version .*0\.1\.0"),
        (spoil(more=1), r"json is damaged \(Object contains unknown field `more`\)"),
        (spoil(classes=["negative", "positive"]), r"does not fit the system 'ststnet'.*\n*.*size"),
        (spoil(model="nobody"), r"does not fit the system 'nobody' of this version \(no model"),
        (spoil(options={"image_size": 16}), r"does not fit the system|the inputs of 'ststnet' are"),
        (lambda folder: shutil.rmtree(folder), r"no recognizer at .*`recognizers fit --model"),
        (lambda folder: (folder / "recognizer.json").unlink(), r"holds no recognizer\.json"),
    ],
)
def test_damage_is_refused(damage: Callable[[Path], None], message: str, copied: Path) -> None:
    recognizers.load(copied)
    damage(copied)
    with pytest.raises(RecognizerError, match=message):
        recognizers.load(copied)


def test_what_does_not_fit_is_refused(fitted: Path, data: Path, tmp_path: Path) -> None:
    loaded = recognizers.load(fitted)
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1))
    arrays = r"learned from arrays \(flow_strain \(3, 8, 8\)\).*give a feature file .*--data"
    with pytest.raises(RecognizerError, match=rf"{arrays}"):
        loaded.predict_store(store)
    with pytest.raises(RecognizerError, match=rf"{arrays}"):
        loaded.predict_clip(np.zeros((5, 32, 32, 3), np.uint8))
    with pytest.raises(RecognizerError, match=r"inputs must be flow_strain \(N, 3, 8, 8\), .*x \("):
        loaded.predict_proba({"x": np.zeros((2, 3, SIZE, SIZE), np.float32)})
    with pytest.raises(ValueError, match="values must be finite"):
        loaded.predict_proba({"flow_strain": np.full((2, 3, SIZE, SIZE), np.nan, np.float32)})
    with pytest.raises(ValueError, match=r"lacks the array 'subject'"):
        loaded.predict_file(write(tmp_path / "a.npz", subject=None))
    with pytest.raises(RecognizerError, match="exists already; remove it or choose another --out"):
        fit(asked(data), fitted)
    with pytest.raises(ConfigError, match=r"selection must be fixed, got 'inner'.*training.epochs"):
        fit(asked(data, "ststnet_tiny", "selection=inner"), tmp_path / "m")
    with pytest.raises(ValueError, match="split fit tests nobody"):
        evaluate(asked(data), tmp_path / "r")
    assert not list(tmp_path.glob("[mr]"))


def test_labels_of_a_feature_file_are_not_needed(fitted: Path, data: Path, tmp_path: Path) -> None:
    loaded = recognizers.load(fitted)
    bare = write(tmp_path / "samm.npz", y=None, classes=None)
    found = loaded.predict_file(bare).probabilities
    np.testing.assert_array_equal(found, loaded.predict_file(data).probabilities)


def test_stores_of_other_sizes_and_framings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = tiny_clips(subjects=2)
    store = write_tiny_store(tmp_path / "a", clips)
    few = ("model.training.epochs=1", "device=cpu")
    loaded = recognizers.load(fit(asked(store.path, "mmnet_tiny", *few), tmp_path / "m"))
    large = write_tiny_store(tmp_path / "b", clips, image_size=48)
    with pytest.raises(RecognizerError, match=r"frames of 48 pixels, .* from 32: .*image-size 32"):
        loaded.predict_store(large)
    tight = {"source": "samm", "framing": {"eyes": 0.26, "apart": 0.58, "aspect": 0.84}}
    write_tiny_store(tmp_path / "c", clips, header=tight)  # type: ignore[arg-type]
    loaded.predict_store(tmp_path / "c")
    assert "faces are not framed alike" in caplog.text
    # Clips need no label, but what the inputs are made of.
    lacking = [
        replace(clips[0], emotion="anger", apex=None),
        replace(clips[1], emotion="unlabelled"),
    ]
    write_tiny_store(tmp_path / "d", lacking)
    predicted = loaded.predict_store(ClipStore.open(tmp_path / "d"))
    assert [clip.name for clip in predicted.clips] == [clips[1].name]
    assert "1 of 2 clips are left out, since they have no apex" in caplog.text
