"""Runs on stretched maps of motion, as published ones are, with clips of our own beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from omegaconf import OmegaConf

from mersynth.clips import Clip
from mersynth.export import export
from mersynth.face.template import HEAD, TIGHT
from mersynth.motion.maps import scaled
from mersynth.phantom.capture import STILL
from mersynth.phantom.tree import write_tree
from mersynth.phantom.variety import PLAIN
from mersynth.prepare.command import prepare
from recognizers.data.feature_files import FeatureFileError, read_features
from recognizers.experiment.evaluate import evaluate
from recognizers.explain import explain
from recognizers.folds.guard import usable_clips
from recognizers.models.base import InputSpec
from tests.export.export_stores import REAL_CASME2, write_store
from tests.recognizers.data.tiny_features import GROUPS, features, synthetic, write
from tests.recognizers.experiment.tiny_experiment import request, results


def test_clips_to_pretrain_on_get_the_form_of_those_under_test(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    data = write(tmp_path / "samm.npz", x=scaled(features()["x"], "minmax"))
    ask = request(data, "keep_weights=true", pretrain=[made], groups=3)
    run = evaluate(ask, tmp_path / "run")
    assert "taken as tight" in caplog.text
    told = json.loads((run / "run.json").read_text())
    assert (told["scale"], told["framing"]) == ("minmax", TIGHT.as_dict())
    assert OmegaConf.load(run / "config.yaml").scale == "minmax"
    card = json.loads((run / "folds" / "0_0000" / "recognizer.json").read_text())
    assert card["inputs"]["flow_strain"]["scale"] == "minmax"
    assert explain(run, "grad-cam", tmp_path / "maps").exists()
    # stretched beforehand, the clips to pretrain on teach the same
    stretched = synthetic(tmp_path / "b.npz", GROUPS, x=scaled(np.load(made)["x"], "minmax"))
    again = evaluate(request(data, pretrain=[stretched], groups=3), tmp_path / "again")
    assert (again / "predictions.csv").read_text() == (run / "predictions.csv").read_text()


def test_what_cannot_get_that_form_is_refused(data: Path, made: Path, tmp_path: Path) -> None:
    x = scaled(np.load(made)["x"], "minmax")
    stretched = synthetic(tmp_path / "b.npz", GROUPS, x=x)
    with pytest.raises(FeatureFileError, match=r"b\.npz: .*bring all clips .*scale=minmax"):
        evaluate(request(data, pretrain=[stretched]), tmp_path / "r")
    evaluate(request(data, "scale=minmax", pretrain=[stretched], groups=3), tmp_path / "r")
    head = synthetic(tmp_path / "c.npz", GROUPS, framing=list(HEAD.as_dict().values()))
    ask = request(data, "scale=minmax", "framing=tight", pretrain=[head])
    with pytest.raises(FeatureFileError, match=r"c\.npz: .*framed head .* framing=tight"):
        evaluate(ask, tmp_path / "q")


def usable(file: Path, person: str) -> set[str]:
    """Names of the clips of a feature file that may train a fold which tests a person."""
    spec = InputSpec("flow_strain", ("u", "v", "strain"), (28, 28), range=None)
    clips = read_features(file, {"flow_strain": spec}, alone=False).clips
    return {clips[i].name for i in usable_clips(clips, {person})}


def test_clips_rendered_like_a_table_leave_out_the_person_they_follow(tmp_path: Path) -> None:
    header = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units",
              "Estimated Emotion")  # fmt: skip
    rows = (("006", "006_1_2", 62, 66, 70, "4+7C", "Anger"),
            ("007", "007_3_1", 20, 23, 26, "L12", "Happiness"))  # fmt: skip
    book = openpyxl.Workbook()
    for row in (header, *rows):
        book.worksheets[0].append(row)
    table = tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx"
    book.save(table)
    tree = write_tree(
        table, "samm", tmp_path / "tree", image_size=64, population=PLAIN, capture=STILL
    )
    store = prepare("samm", tree, tmp_path / "store", image_size=64)
    file = export(store.path, "npz", tmp_path / "like.npz", overrides=["scale=minmax"])
    assert np.load(file)["framing"].tolist() == list(TIGHT.as_dict().values())
    assert usable(file, "samm/006") == {"007_3_1"}
    assert usable(file, "smic/s01") == {"006_1_2", "007_3_1"}


def test_exported_synthetic_clips_leave_out_the_person_they_follow(tmp_path: Path) -> None:
    unseen = ("samm/007", "samm/020")
    clips = [
        Clip(source="samm", subject="006", name=f"made_{followed}", onset=0, apex=2, offset=3,
             emotion="anger", template=f"samm/{followed}/a", generator="ab", unseen=unseen)
        for followed in ("007", "020")
    ]  # fmt: skip
    store = write_store(tmp_path / "s", clips)
    file = export(store.path, "npz", tmp_path / "made.npz", classes="five")
    assert usable(file, "samm/007") == {"made_020"}
    assert usable(file, "samm/020") == {"made_007"}
    assert usable(file, "samm/006") == set()


def test_stores_beside_files_are_read_in_the_classes_of_these(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store = write_store(tmp_path / "casme2", REAL_CASME2[:2]).path
    run = evaluate(request(data, mix=[store], groups=3), tmp_path / "run")
    assert "in the classes of the files under test: --classes three" in caplog.text
    told = results(run)
    assert (told["scheme"], told["classes"]) == ("three", ["negative", "positive", "surprise"])
    assert [fold["mixed"] for fold in told["folds"]] == [2, 2, 2]
    asked = request(data, mix=[store], groups=3, classes="three")
    assert results(evaluate(asked, tmp_path / "run")) == told
    with pytest.raises(ValueError, match=r"learn from show disgust, .* clips under test negative"):
        evaluate(request(data, mix=[store], classes="seven"), tmp_path / "other")
    with pytest.raises(ValueError, match="classes relabels stores; feature files have their own"):
        request(data, mix=[data], classes="three")
