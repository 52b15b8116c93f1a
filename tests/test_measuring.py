"""Scripts that run every system, and the documents that they write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mersynth.config import load
from mersynth.face.face import Face
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED
from mersynth.phantom.version import VERSION
from mersynth.store.clip_store import ClipStore, StoreError
from recognizers.evaluation.comparison import Comparison, Interval, compare
from recognizers.models import create_model, list_models
from tests.recognizers.evaluation.tiny_predictions import random_run
from tests.script_modules import SCRIPTS, run_script, script
from tests.tiny_store import tiny_clips, write_tiny_store


def test_every_system_has_a_form_of_both_sizes() -> None:
    forms = script("measuring.small_forms")
    assert sorted(forms.SMALL) == list_models()
    for name in forms.SMALL:
        whole = forms.Form(name, full=True).request(Path("real"))
        assert (whole.model, whole.groups) == (name, None)
        form = forms.Form(name)
        request = form.request(Path("real"), overrides=["device=cpu"])
        settings = load("evaluate", [f"model={request.model}", *request.overrides])
        assert settings.model.name == name
        assert request.groups == forms.GROUPS
        if form.epochs is not None:
            assert settings.model.training.epochs == form.epochs
        options: Any = OmegaConf.to_container(settings.model.options)
        model = create_model(name, 2, **options)
        assert model.fits_directly == form.fits_directly


def test_synthetic_clips_come_first_or_beside() -> None:
    forms = script("measuring.small_forms")
    real, synthetic, macro = Path("real"), Path("synthetic"), Path("macro")
    trained = forms.Form("nmer").request(real, [synthetic], mix=[macro])
    assert (list(trained.pretrain), list(trained.mix)) == ([synthetic], [macro])
    fitted = forms.Form("lbp_top_svm").request(real, [synthetic])
    assert (list(fitted.pretrain), list(fitted.mix)) == ([], [synthetic])


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    used = [lines for name, lines in extras.items() if name not in ("docs", "test", "dev")]
    lines = [*project["dependencies"], *(line for lines in used for line in lines)]
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    assert set(script("measure_dependencies").REASONS) == names
    told = (SCRIPTS.parent / "docs" / "dependencies.md").read_text()
    here = {n for n in names if n != "standard-imghdr"}  # only of later versions of Python
    assert here <= set(re.findall(r"^\| `([\w-]+)` \|", told, re.MULTILINE))


def test_documents_are_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = script("measuring.documents")
    assert documents.table(["a", "b", "c"], [["x", "1", "y"]], words=(0, 2)).splitlines() == [
        "| a | b | c |",
        "| :--- | ---: | :--- |",
        "| x | 1 | y |",
    ]
    monkeypatch.setattr(sys, "argv", ["/somewhere/scripts/some.py", "--out", "a b.md"])
    block, told = documents.command().split("\n\n")
    assert block == "```\npython scripts/some.py --out 'a b.md'\n```"
    assert told == f"on version {VERSION} of the phantom."
    lines = documents.paragraph("word " * 60).splitlines()
    assert max(map(len, lines)) <= 100
    assert documents.document(["one", "two"]) == "one\n\ntwo\n"


@pytest.mark.slow
def test_a_gain_is_the_difference_to_real_clips_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = script("measuring.small_forms")
    monkeypatch.setitem(forms.SMALL, "ststnet", forms.Small(4, 4))
    real = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=4)).path
    command = (
        "reproduce_augmentation_gain", "--system", "ststnet",
        "--store", f"samm={real}", "--arm", "warp", "--per-class", "3",
        "--seeds", "2", "--out", tmp_path / "out" / "gain.md",
        "--generate", "num_frames=4", "device=cpu", "executor.workers=1",
    )  # fmt: skip
    ran = run_script(*command, "--work", tmp_path / "work")
    assert ran.code == 0, ran.stderr
    told = json.loads((tmp_path / "out" / "gain.json").read_text())
    (cell,) = told["cells"]
    means = {name: outcome["mean"]["uf1"] for name, outcome in cell["outcomes"].items()}
    gain = cell["gains"]["warp"]["difference"]
    assert gain["estimate"] == pytest.approx(means["warp"] - means["steps"], abs=1e-9)
    assert told["summary"]["warp"]["all"]["mean"] == pytest.approx(gain["estimate"])
    assert told["summary"]["warp"]["all"]["above"] == int(gain["low"] > 0)
    few = cell["gains"]["none"]["difference"]["estimate"]
    assert few == pytest.approx(means["none"] - means["steps"], abs=1e-9)
    # Four people of five clips in four groups: 15 clips a fold, 4 epochs, and twice as many before.
    seen = {name: outcome["clips_seen"] for name, outcome in cell["outcomes"].items()}
    assert seen == {"none": 4 * 15, "steps": 12 * 15, "warp": 12 * 15}
    text = (tmp_path / "out" / "gain.md").read_text()
    assert "| real clips alone, as many steps |" in text
    assert f"mean gain in UF1 {gain['estimate']:+.3f}" in text
    assert re.search(r"\| `ststnet` \| SAMM \| real clips alone \| 0\.\d+ ± 0\.\d+ \|", text)
    assert (tmp_path / "out" / "images" / "gain.png").stat().st_size > 5000
    again = run_script(*command, "--work", tmp_path / "other")
    assert again.code == 0, again.stderr
    assert not (tmp_path / "other" / "runs").exists(), "what was measured was measured again"
    assert (tmp_path / "out" / "gain.md").read_text() == text.replace("/work", "/other")


@pytest.mark.slow
def test_gains_from_one_database_to_another_with_mixed_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = script("measuring.small_forms")
    monkeypatch.setitem(forms.SMALL, "ststnet", forms.Small(2, 2))
    arms = script("measuring.arms")
    mixed = (arms.WARP, arms.Clips("weak", "warp", ("strength=0.5",)))
    monkeypatch.setitem(arms.ARMS, "both", arms.Arm("mixed", mixed))
    names = {"anger": "disgust", "contempt": "repression", "other": "others"}
    other = [
        replace(clip, source="casme2", emotion=names.get(clip.emotion, clip.emotion))
        for clip in tiny_clips(subjects=3)
    ]
    for name, clips in (("samm", tiny_clips(subjects=4)), ("casme2", other)):
        write_tiny_store(tmp_path / name, clips)
    out = tmp_path / "gain.md"
    ran = run_script(
        "reproduce_augmentation_gain", "--system", "ststnet", "--split", "cross",
        "--classes", "three", "--arm", "warp", "--arm", "both", "--per-class", "2",
        "--store", f"samm={tmp_path / 'samm'}", "--store", f"casme2={tmp_path / 'casme2'}",
        "--seeds", "1", "--work", tmp_path / "work", "--out", out,
        "--generate", "num_frames=4", "device=cpu", "executor.workers=1",
    )  # fmt: skip
    assert ran.code == 0, ran.stderr
    cells = json.loads(out.with_suffix(".json").read_text())["cells"]
    trained_on = [(cell["setting"]["database"], cell["setting"]["test"]) for cell in cells]
    assert trained_on == [("samm", "casme2"), ("casme2", "samm")]
    for cell, learned in zip(cells, (16, 12), strict=True):  # four clips of a person have a class
        steps = {arm: 6 * learned for arm in ("steps", "warp", "both")}
        seen = {name: outcome["clips_seen"] for name, outcome in cell["outcomes"].items()}
        assert seen == {"none": 2 * learned, **steps}
    told = tmp_path / "work" / "runs" / "samm_casme2_three_cross_ststnet_tiny_both" / "results.json"
    (before,) = json.loads(told.read_text())["pretraining"]
    assert (len(before["stores"]), before["clips"]) == (2, 12)
    assert "SAMM to CASME II: 12 tested clips of 3 people" in out.read_text()


def cell_of(uar_low: dict[str, float], gain: float, over_warp: float | None = None) -> Any:
    """A cell of three classes whose runs have UAR from ``uar_low``, and gains of AU-ICGAN."""
    gains = script("measuring.gains")

    def interval(estimate: float, low: float) -> Interval:
        return Interval(estimate, low, 2 * estimate - low, 0.95, 2000, 9)

    def compared(estimate: float) -> Comparison:
        return Comparison("uf1", interval(estimate, estimate - 0.05), 0.5, {})

    def outcome(low: float) -> Any:
        return gains.Outcome({"uf1": 0.4}, None, interval(0.6, low), 100, 9)

    return gains.Cell(
        system="ststnet",
        setting=gains.Setting(database="samm"),
        settings="",
        clips=80,
        people=9,
        classes=3,
        nothing="",
        device="cpu",
        outcomes={arm: outcome(low) for arm, low in {"none": 0.0, **uar_low}.items()},
        gains={"none": compared(-0.1), "icgan": compared(gain)},
        over_warp={} if over_warp is None else {"icgan": compared(over_warp)},
    )


def test_cells_are_read_as_they_were_recorded(tmp_path: Path) -> None:
    gains = script("measuring.gains")
    cells = [cell_of({"steps": 0.34, "icgan": 0.5}, 0.2, over_warp=0.04)]
    (tmp_path / "gain.json").write_text(json.dumps(gains.figures(cells, {})))
    assert gains.recorded(tmp_path / "gain.json") == cells
    assert gains.recorded(tmp_path / "none.json") == []


def test_a_verdict_separates_gains_from_chance_and_from_the_warp() -> None:
    gains = script("measuring.gains")
    cells = [
        cell_of({"steps": 0.34, "icgan": 0.5}, 0.2, over_warp=0.04),
        cell_of({"steps": 1 / 3 + 1e-9, "icgan": 0.4}, 0.1),  # a constant answer, rounded
        cell_of({"steps": 0.30, "icgan": 0.3}, -0.06),
    ]
    assert [cell.above_chance("steps") for cell in cells] == [True, False, False]
    assert gains.verdict(cells, {}).splitlines() == [
        "- AU-ICGAN: mean gain in UF1 +0.080; the interval lies above zero in 2 and below zero in "
        "1 of 3 pairs of system and database. Where real clips alone give more than chance: mean "
        "gain in UF1 +0.200; the interval lies above zero in 1 and below zero in 0 of 1 pairs. "
        "Against the AU warp: mean gain in UF1 +0.040; the interval lies above zero in 0 and below "
        "zero in 0 of 1 pairs. Above chance: 2 of 3 pairs.",
        "- Real clips alone for their own epochs instead of as many steps: mean gain in UF1 "
        "-0.100; the interval lies above zero in 0 and below zero in 3 of 3 pairs. Above chance: 0 "
        "of 3 pairs, with as many steps above chance: 1 of 3 pairs.",
    ]


def test_a_mean_gain_has_an_interval_where_all_answers_are_known() -> None:
    gains = script("measuring.gains")
    cell = cell_of({"steps": 0.34, "icgan": 0.5}, 0.2)
    run, alone = random_run(skill=0.8), random_run(skill=0.3)
    answers = {(cell.system, cell.setting): {"icgan": run, "steps": alone, "none": alone}}
    found = compare(run, alone).difference
    words = f"- AU-ICGAN: mean gain in UF1 +0.200 ({found.low:+.3f} to {found.high:+.3f}); the"
    assert gains.verdict([cell], answers).startswith(words)
    other = replace(cell, setting=gains.Setting(database="casme2"))
    assert gains.verdict([cell, other], answers).startswith(
        "- AU-ICGAN: mean gain in UF1 +0.200; the interval"
    )


def test_speeds_stand_beside_earlier_ones(tmp_path: Path) -> None:
    figures = tmp_path / "speed.json"
    one = ("measure_training_speed", "--system", "stcnn", "--epochs", "1")
    assert run_script(*one, "--out", figures).code == 0
    earlier = json.loads(figures.read_text())
    assert earlier["stcnn"]["clips_a_second"] > 1
    ran = run_script(*one, "--against", figures)
    (line,) = (line for line in ran.stdout.splitlines() if "`stcnn`" in line)
    found = [float(cell) for cell in line.split("|")[4:7]]
    assert found[1] == pytest.approx(earlier["stcnn"]["clips_a_second"], abs=0.5)
    assert found[2] == pytest.approx(found[0] / found[1], rel=0.05)


def test_synthetic_clips_that_were_made_otherwise_are_refused(tmp_path: Path) -> None:
    make = script("measuring.synthetic").synthetic_store
    real = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=3)).path
    out = tmp_path / "made"
    made = make(real, out, 2, generator="warp", overrides=["num_frames=4"])
    checksum = ClipStore.open(made).checksum
    again = make(real, out, 2, generator="warp", overrides=["num_frames=4"])
    assert ClipStore.open(again).checksum == checksum
    for changes, named in (
        ({"seed": 1}, "seed"),
        ({"per_class": 3}, "per_class"),
        ({"overrides": ["num_frames=5"]}, "num_frames"),
        ({"generator": "icgan", "checkpoint": SHIPPED}, "generators"),
    ):
        wanted = {"per_class": 2, "generator": "warp", "overrides": ["num_frames=4"], **changes}
        with pytest.raises(StoreError, match=f"was made differently: .*{named}"):
            make(real, out, **wanted)
    assert ClipStore.open(out).checksum == checksum


def test_gain_needs_clips() -> None:
    none = run_script("reproduce_augmentation_gain")
    assert none.code == 2
    assert "give an annotation table (--table) or a store (--store)" in none.stderr
    lost = run_script("reproduce_augmentation_gain", "--store", "samm=/no/store")
    assert "there is no /no/store" in lost.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model.training.epochs=2"], "the arms set the epochs, so that all see as many clips"),
        (["pretraining.epochs=2"], "the arms set the epochs, so that all see as many clips"),
        (["--split", "cross", "--classes", "three"], "--split cross needs two databases"),
        (["--split", "cross"], "classes that they share: --classes three"),
    ],
)
def test_tables_of_gains_that_would_not_be_fair(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    real = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=2)).path
    refused = run_script("reproduce_augmentation_gain", "--store", f"samm={real}", *arguments)
    assert refused.code == 2
    assert said in refused.stderr


def test_every_arm_sees_as_many_clips() -> None:
    arms, forms = script("measuring.arms"), script("measuring.small_forms")
    for form in (forms.Form("ststnet"), forms.Form("mmnet"), forms.Form("mmnet", full=True)):
        whole = load("evaluate", [f"model={form.config}"]).model.training.epochs
        own = form.epochs or whole
        for name, arm in arms.ARMS.items():
            asked = [f"model={form.config}", f"model.training.epochs={own}"]
            settings = load("evaluate", [*asked, *arms.budget(name, form), *arm.overrides])
            before = settings.pretraining.epochs if arm.pretrained_on else 0
            seen = before + settings.model.training.epochs
            assert seen == (own if name == arms.NONE else 3 * own)
            if arm.pretrained_on:
                assert settings.pretraining.epoch_clips == "fold"


@pytest.mark.slow
def test_rendered_twins_hold_what_they_are_asked_for(tmp_path: Path) -> None:
    few = ["--per-class", "3", "--seeds", "1", "--image-size", "32", "--work", str(tmp_path)]
    short = ["model.training.epochs=1", "device=cpu", "executor.workers=1"]
    command = [sys.executable, str(SCRIPTS / "measure_capture.py"), *few, *short]
    subprocess.run(command, check=True, capture_output=True)
    still, noisy, moving = (
        ClipStore.open(tmp_path / "stores" / f"rendered{part}_3")
        for part in ("", "_noise", "_head")
    )
    for one in still:
        # Beside the head nothing changes, unless the camera adds its noise or the head moves.
        assert (one.frames[:, :2, :2] == one.frames[:1, :2, :2]).all()
    assert np.array_equal(still.intensities, moving.intensities)
    assert all((item.frames[:, :2, :2] != item.frames[:1, :2, :2]).any() for item in noisy)
    apexes = [(s.frames[8].astype(int) - s.frames[0]) for s in (still, moving)]
    assert np.abs(apexes[1]).mean() > np.abs(apexes[0]).mean() > 0
    text = (tmp_path / "capture.md").read_text()
    names = re.findall(r"^\| (rendered.*?|AU warp.*?|real clips alone) \|", text, re.MULTILINE)
    assert len(names) == 8


def test_control_is_what_readings_say() -> None:
    """Of two faces, one of which is read weaker, and leaks to the next AU and the other side."""
    figures = script("measuring.generator_figures")
    asked = figures.asked_intensities()
    right = asked.numpy()
    weak = 0.5 * right + 0.1 * np.roll(right, 1, axis=1) + 0.1 * right[..., ::-1]
    found = figures.control_figures(asked, [right, weak])
    au = CONDITION_AUS.index(12)
    assert found["gain"][au] == pytest.approx((1 + 0.6) / 2)
    assert found["error"][au] == pytest.approx(0.5 * 0.4 * 0.5)  # of the levels' mean
    assert found["cross_talk"][au] == pytest.approx(0.1 / 19 / 2)
    assert found["one_sided"][au] == pytest.approx((1 + 0.5) / (1 + 0.6))
    assert np.isnan(found["one_sided"][CONDITION_AUS.index(17)])


def test_a_box_counts_for_one_marked_face() -> None:
    photos = script("measure_photos")
    boxes = [(0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (50.0, 50.0, 60.0, 60.0)]
    faces = [Face(box, None, None, 1.0, "mtcnn") for box in boxes]
    assert photos.count_right(faces, [(5, 5), (25, 5), (100, 5)]) == 2
    assert photos.count_right(faces, [(5, 5), (6, 6)]) == 1
