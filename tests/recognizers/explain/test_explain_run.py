"""Explanations of whole runs: whose model explains, what is written, what is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mersynth.disk.files import sha256_of_file
from mersynth.store.clip_store import ClipStore
from recognizers.cli import app
from recognizers.data.inputs import build_inputs
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.explain import OpenedRun, attention_maps, au_cam, cam_layers, explain, grad_cam
from recognizers.explain.embedding import tsne
from recognizers.models import create_model
from recognizers.runs import RunError
from recognizers.runs.files import read
from recognizers.runs.files import write as write_record
from recognizers.runs.records import FoldRecord
from tests.recognizers.data.tiny_features import synthetic, write
from tests.tiny_store import tiny_clips, write_tiny_store

KEPT = ("keep_weights=true", "executor.workers=1", "device=cpu")
FEW = ("model.training.epochs=1", "model.training.batch_size=10")
SHALLOW = (*FEW, "model.options.image_size=8")


def ask(data: Path, model: str, *overrides: str, **options: Any) -> Request:
    options = {"split": "loso", **options}
    return Request(data=[data], model=model, overrides=overrides, **options)


@pytest.fixture(name="store", scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("s") / "samm", tiny_clips(subjects=2)).path


@pytest.fixture(name="dual", scope="module")
def _dual(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "dual"
    return evaluate(ask(store, "dual_branch_tiny", *KEPT, *FEW, groups=2), out)


@pytest.fixture(name="mmnet", scope="module")
def _mmnet(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two seeds."""
    out = tmp_path_factory.mktemp("runs") / "mmnet"
    return evaluate(ask(store, "mmnet_tiny", *KEPT, *FEW, groups=2, seeds=2), out)


@pytest.fixture(name="shallow", scope="module")
def _shallow(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """STSTNet on a feature file: its inputs are brought to one scale by each fold's clips."""
    out = tmp_path_factory.mktemp("runs") / "shallow"
    return evaluate(ask(data, "ststnet_tiny", *KEPT, *SHALLOW, groups=3), out)


@pytest.fixture(name="page", scope="module")
def _page(dual: Path) -> Path:
    return explain(dual, "au-cam")


def told(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def arrays(page: Path) -> dict[str, np.ndarray]:
    return dict(np.load(page.with_suffix(".npz")))


def records(run: Path, seed: int = 0) -> list[dict[str, Any]]:
    return [json.loads(f.read_text()) for f in sorted((run / "folds").glob(f"{seed}_*.json"))]


def weights_of(run: Path, fold: str) -> Path:
    return run / "folds" / fold / "recognizer.safetensors"


def with_bare_weights(run: Path) -> Path:
    """A run from before recognizers had cards: a file of weights beside each fold's record."""
    for card in (run / "folds").glob("*/recognizer.json"):
        shutil.move(card.with_suffix(".safetensors"), card.parent.with_suffix(".safetensors"))
        shutil.rmtree(card.parent)
    return run


def test_each_clip_is_explained_by_the_model_that_did_not_learn_from_it(
    dual: Path, page: Path, store: Path
) -> None:
    found = arrays(page)
    options = json.loads((dual / "results.json").read_text())["model"]["options"]
    model = create_model("dual_branch", 5, **options).eval()
    built = build_inputs(ClipStore.open(store), model.inputs, "five")
    image = {clip.id: x for clip, x in zip(built.clips, built.inputs["image"], strict=True)}
    assert sorted(found["clip"]) == sorted(image)
    for index, record in enumerate(records(dual)):
        model.load_state_dict(load_file(weights_of(dual, f"0_{index:04}")))
        batch = torch.stack([image[clip] for clip in record["clips"]])
        rows = [list(found["clip"]).index(clip) for clip in record["clips"]]
        assert set(found["fold"][rows]) == {record["fold"]}
        np.testing.assert_allclose(found["map_au_cam"][rows], au_cam(model, batch), atol=1e-6)
        classes = model(image=batch).logits.argmax(1)
        assert list(found["predicted"][rows]) == [built.classes[c] for c in classes]
        assert list(found["explained"][rows]) == list(found["predicted"][rows])
        cam = grad_cam(model, {"image": batch}, classes, cam_layers("dual_branch", model))
        np.testing.assert_allclose(found["map_grad_cam"][rows], cam, atol=1e-6)


def test_the_page_shows_every_clip_and_needs_nothing_but_itself(dual: Path, page: Path) -> None:
    assert page == dual / "explain" / "au-cam.html"
    text = told(page)
    clips = [clip for record in records(dual) for clip in record["clips"]]
    assert all(f"<code>{clip}</code>" in text for clip in clips)
    sources = re.findall(r'(?:src|href)="([^#"][^"]*)"', text)
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    # The scale, and of every clip and every mean a face and two maps.
    means = text.count('<figure class="strip">') - len(clips)
    assert means == 5 + 8  # classes, and AUs 1, 2, 4, 6, 7, 12, 14, 24
    assert len(sources) == 1 + 3 * (len(clips) + means)
    assert "AU 12</b> lip corner puller, 2 clips" in text
    assert not list((dual / "explain").glob(".*"))


def test_some_clips_can_be_asked_for(mmnet: Path, tmp_path: Path) -> None:
    chosen = ["samm/000/anger_0", "samm/001/surprise_0"]
    page = explain(mmnet, "grad-cam", tmp_path / "new" / "place", chosen, target="true")
    assert page == tmp_path / "new" / "place" / "grad-cam.html"
    found = arrays(page)
    assert sorted(found["clip"]) == sorted(chosen)
    assert list(found["explained"]) == list(found["true"])
    everything = arrays(explain(mmnet, "grad-cam", tmp_path / "all", target="true"))
    rows = [list(everything["clip"]).index(clip) for clip in found["clip"]]
    np.testing.assert_allclose(found["map_grad_cam"], everything["map_grad_cam"][rows], atol=1e-6)
    assert told(page).count("<code>samm/") == 2
    with pytest.raises(ValueError, match=r"samm/000/none are not tested.*dataset/subject/clip"):
        explain(mmnet, "grad-cam", clips=["samm/000/none"])
    with pytest.raises(ValueError, match="give one or more"):
        explain(mmnet, "grad-cam", clips=[])


def test_attention_of_either_seed(mmnet: Path, store: Path, tmp_path: Path) -> None:
    first = arrays(explain(mmnet, "attention", tmp_path / "0"))
    second = arrays(explain(mmnet, "attention", tmp_path / "1", seed=1))
    assert list(first["clip"]) == list(second["clip"])
    assert not np.allclose(first["map_attention_2"], second["map_attention_2"])
    config = json.loads((mmnet / "results.json").read_text())["model"]
    model = create_model("mmnet", 5, **config["options"]).eval()
    model.load_state_dict(load_file(weights_of(mmnet, "1_0000")))
    built = build_inputs(ClipStore.open(store), model.inputs, "five")
    ids = [clip.id for clip in built.clips]
    clip = records(mmnet, 1)[0]["clips"][0]
    row = ids.index(clip)
    with torch.no_grad():
        output = model(**{name: x[row : row + 1] for name, x in built.inputs.items()})
    for name, heat in attention_maps(output).items():
        place = list(second["clip"]).index(clip)
        np.testing.assert_allclose(second[f"map_{name}"][place], heat[0], atol=1e-5)
    with pytest.raises(RunError, match="has the seeds 0, 1, not 7"):
        explain(mmnet, "attention", seed=7)


def test_features_lie_in_a_drawing_a_fold(mmnet: Path) -> None:
    page = explain(mmnet, "tsne")
    found = arrays(page)
    folds = {record["fold"]: set(record["clips"]) for record in records(mmnet)}
    assert found["points"].shape == (2, 10, 2)
    assert np.isfinite(found["points"]).all()
    for name, held_out in zip(found["fold"], found["held_out"], strict=True):
        assert set(found["clip"][held_out]) == folds[name]
    text = told(page)
    assert text.count("<circle") == 2 * 2 * 10
    assert text.count('<circle class="own"') == 2 * sum(map(len, folds.values()))
    assert "1+2" in text
    assert "src=" not in text
    clip = next(iter(folds[found["fold"][0]]))
    one = arrays(explain(mmnet, "tsne", clips=[clip]))
    assert list(one["fold"]) == [found["fold"][0]]


def test_tsne_keeps_clusters_apart() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    points, perplexity = tsne(rng.normal(size=(40, 90)) + 12 * label[:, None], seed=0)
    assert perplexity == pytest.approx(13)
    near = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(40)
    assert (label[near.argmin(1)] == label).all()
    with pytest.raises(ValueError, match="4 clips or more, the run has 3"):
        tsne(rng.normal(size=(3, 5)), seed=0)


@pytest.mark.parametrize("kind", ["grouped", "lovo", "cross", "mix", "paper"])
def test_inputs_of_bare_weights_are_scaled_as_the_fold_scaled_them(
    kind: str, data: Path, shallow: Path, tmp_path: Path
) -> None:
    """A model whose predictions differ from the run's is refused."""
    made = synthetic(tmp_path / "made.npz", [["samm/00", "samm/01", "samm/02"], ["samm/03"]])
    other = write(tmp_path / "other.npz", people=2, seed=3, dataset=np.full(10, "smic"))
    changes: dict[str, dict[str, Any]] = {
        "lovo": {"split": "lovo"},
        "cross": {"split": "cross", "test": [other]},
        "mix": {"groups": 3, "mix": [made]},
        "paper": {"groups": 3, "mix": [made], "protocol": "paper"},
    }
    if kind != "grouped":
        request = ask(data, "ststnet_tiny", *KEPT, *SHALLOW, **changes[kind])
        run = evaluate(request, tmp_path / "run")
    else:
        run = copy(shallow, tmp_path)
        of_cards = arrays(explain(run, "grad-cam"))["map_grad_cam"]
    run = with_bare_weights(run)
    page = explain(run, "grad-cam", tmp_path / "out")
    table = Predictions.from_csv(run / "predictions.csv").frame
    predicted = {f"{r.dataset}/{r.subject}/{r.clip}": r.predicted for r in table.itertuples()}
    found = arrays(page)
    assert dict(zip(found["clip"], found["predicted"], strict=True)) == predicted
    assert found["map_grad_cam"].shape[1:] == (8, 8)
    if kind == "grouped":
        np.testing.assert_allclose(found["map_grad_cam"], of_cards, atol=1e-6)
    assert "Feature files have no frames" in told(page)
    assert ("Paper protocol" in told(page)) == (kind == "paper")


def test_a_run_without_weights_names_the_command_that_makes_them(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(store, "mmnet_tiny", *KEPT[1:], *FEW, groups=2, classes="three", seed=3)
    run = evaluate(request, tmp_path / "a run")
    with pytest.raises(RunError, match="did not keep the weights of 2 of 2 folds") as raised:
        explain(run, "attention")
    command = shlex.split(str(raised.value).splitlines()[-1])
    assert command[:2] == ["recognizers", "loso"]
    predicted = (run / "predictions.csv").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, command[1:]).exit_code == 0
    assert (run / "predictions.csv").read_bytes() == predicted
    assert explain(run, "attention").exists()


def copy(run: Path, place: Path) -> Path:
    return Path(shutil.copytree(run, place / "copy"))


def test_weights_that_are_not_the_runs_are_refused(shallow: Path, tmp_path: Path) -> None:
    run = with_bare_weights(copy(shallow, tmp_path))
    file = run / "folds" / "0_0001.safetensors"
    beside = file.with_suffix(".json")
    weights = load_file(file)

    def keep(tensors: dict[str, torch.Tensor]) -> None:
        save_file(tensors, file)
        with_these = msgspec.structs.replace(read(beside, FoldRecord), weights=sha256_of_file(file))
        write_record(beside, with_these)

    save_file({name: 3 * value + 1 for name, value in weights.items()}, file)
    with pytest.raises(RunError, match=r"0_0001\.safetensors is damaged \(its SHA-256"):
        explain(run, "grad-cam")
    keep({name: 3 * value + 1 for name, value in weights.items()})
    with pytest.raises(RunError, match=r"fold group_1 predicts its clips otherwise"):
        explain(run, "grad-cam")
    with pytest.raises(RunError, match=r"fold group_1 predicts its clips otherwise"):
        explain(run, "tsne")
    keep({"x": torch.zeros(1)})
    with pytest.raises(RunError, match=r"0_0001\.safetensors does not fit the model"):
        explain(run, "grad-cam")
    assert not (run / "explain").exists()


def test_data_that_are_not_the_runs_are_refused(
    data: Path, store: Path, mmnet: Path, tmp_path: Path
) -> None:
    place = Path(shutil.copy(data, tmp_path / "samm.npz"))
    run = evaluate(ask(place, "ststnet_tiny", *KEPT, *SHALLOW, groups=3), tmp_path / "run")
    write(place, seed=5)
    with pytest.raises(RunError, match=r"samm\.npz has changed since .*run was made \(checksum"):
        explain(run, "grad-cam")
    place.unlink()
    with pytest.raises(RunError, match=r"samm\.npz, which does not exist \(seen from /"):
        explain(run, "grad-cam")
    moved = copy(mmnet, tmp_path)
    another = write_tiny_store(tmp_path / "store", tiny_clips(subjects=3)).path
    results = json.loads((moved / "results.json").read_text())
    results["data"][0]["path"] = str(another)
    (moved / "results.json").write_text(json.dumps(results))
    with pytest.raises(RunError, match="store has changed"):
        explain(moved, "attention")


def test_what_a_model_cannot_explain_is_refused(dual: Path, shallow: Path, mmnet: Path) -> None:
    with pytest.raises(RunError, match="a run of mmnet; AU-CAM needs dual_branch"):
        explain(mmnet, "au-cam")
    with pytest.raises(RunError, match="a run of ststnet, which has no attention map"):
        explain(shallow, "attention")
    with pytest.raises(ValueError, match="method must be one of au-cam, grad-cam, attention, tsne"):
        explain(dual, "saliency")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="target must be one of predicted, true"):
        explain(dual, "grad-cam", target="best")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="there is no folder"):
        explain(dual.parent / "none", "au-cam")


def test_an_opened_run_gives_the_folds_that_are_wanted(shallow: Path) -> None:
    run = OpenedRun(shallow)
    (fold,) = run.folds([2])
    assert fold.name == "group_2"
    assert not fold.model.training
    assert [run.clips.clips[i].id for i in fold.rows] == records(shallow)[2]["clips"]
