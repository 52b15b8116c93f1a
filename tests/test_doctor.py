from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from typer.testing import CliRunner

from mersynth import doctor
from mersynth.cli import app
from mersynth.clips import Clip
from mersynth.doctor import Finding
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan import checkpoint
from mersynth.gan.checkpoint import CheckpointCard, save_generator
from mersynth.gan.generator import Generator
from mersynth.sources import SOURCES
from mersynth.store.writer import StoreWriter


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing but a working Python is found; its working folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    variables = ("FEAT_MULTITASK_WEIGHTS", "FEAT_ARCFACE_R50_PATH", "MERSYNTH_WEIGHTS")
    for variable in ("MERSYNTH_DATA", *variables):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy>=1.0"])
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    spec = ModuleSpec("feat", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "feat")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    return tmp_path / "here"


def find(part: str, name: str) -> Finding:
    (finding,) = [f for f in doctor.examine() if (f.part, f.name) == (part, name)]
    return finding


def write_generator(folder: Path) -> None:
    arguments = {"channels": 4, "blocks": 1}
    card = CheckpointCard(
        image_size=32,
        aus=CONDITION_AUS,
        generator=arguments,
        training_subjects=("phantom/900", "phantom/901"),
        unseen_subjects=(),
        groups=1,
        seed=0,
        step=12,
        config={},
    )
    save_generator(folder, Generator(**arguments).state_dict(), card)


def write_store(path: Path) -> None:
    clip = Clip(source="samm", subject="006", name="1", onset=1, apex=2, offset=3, emotion="anger")
    with StoreWriter(path, [clip], 16, {"source": "samm"}) as writer:
        writer.add(np.zeros((3, 16, 16, 3), np.uint8))
        writer.finish()


def test_packages_are_compared_with_what_the_project_declares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = ["numpy>=1.0", "pillow>=999", "no-such-package>=2", "pytest; extra == 'test'"]
    monkeypatch.setattr(metadata, "requires", lambda _: declared)
    found = {f.name: f for f in doctor.examine() if f.part == "packages"}
    assert set(found) == {"numpy", "pillow", "no-such-package"}
    assert found["numpy"].detail == np.__version__
    assert found["pillow"].status == "broken"
    assert "needed is >=999" in found["pillow"].detail
    assert found["no-such-package"].command == "pip install 'no-such-package>=2'"
    assert found["pillow"].command == "pip install -U 'pillow>=999'"
    assert [doctor.is_obstacle(f) for f in found.values()] == [False, True, True]


def test_a_project_that_is_not_installed_is_reported() -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "requires", requires)
        assert find("packages", "mersynth").command == "pip install ."


def test_torch_and_torchvision_that_do_not_fit_are_an_obstacle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    finding = find("device", "torch")
    assert doctor.is_obstacle(finding)
    assert finding.command == "pip install -U torch torchvision"


def test_operators_built_for_another_torch_are_an_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are loaded without torchvision's own import, which takes seconds."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "_C.so").write_bytes(b"no library")
    spec = ModuleSpec("torchvision", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "torchvision")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    finding = find("device", "torch")
    assert (finding.status, finding.command) == ("broken", "pip install -U torch torchvision")
    assert "_C.so" in finding.detail


def test_a_missing_data_set_is_named_with_its_place_and_its_licence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MERSYNTH_DATA", "shelf")
    finding = find("data sets", "samm")
    assert finding.status == "missing"
    assert str(Path("shelf/samm")) in finding.detail
    assert "agreement" in finding.detail
    assert not doctor.is_obstacle(finding)


def test_a_data_set_is_found_by_its_annotation_table() -> None:
    table = Path("data/samm/SAMM_Micro_FACS_Codes_v2.xlsx")
    table.parent.mkdir(parents=True)
    assert find("data sets", "samm").status == "broken"
    assert "SAMM_Micro_FACS_Codes" in find("data sets", "samm").detail
    table.touch()
    assert find("data sets", "samm") == Finding("data sets", "samm", "found", str(table))


def test_every_database_is_looked_for() -> None:
    found = [f.name for f in doctor.examine() if f.part == "data sets"]
    assert sorted(", ".join(found).split(", ")) == sorted(SOURCES)
    assert "smic, smic-further, smic-vis, smic-nir" in found  # they share a folder


def test_mediapipe_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"mediapipe": "1.2.3"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda _: [])
    monkeypatch.setattr(metadata, "version", version)
    assert find("AU readers", "mediapipe").detail.startswith("1.2.3, AU intensities with sides")
    versions.clear()
    missing = find("AU readers", "mediapipe")
    assert (missing.status, missing.required) == ("missing", False)
    assert missing.command == "pip install --no-deps 'mediapipe>=1.2'"


def test_weights_are_found_in_the_cache_of_py_feat(tmp_path: Path) -> None:
    file = (
        tmp_path / "feat/resources/models--py-feat--xgb_au/snapshots/1a/xgb_au_classifier_v2.skops"
    )
    file.parent.mkdir(parents=True)
    file.touch()
    assert find("py-feat weights", "xgb_au").status == "found"
    assert str(file) in find("py-feat weights", "xgb_au").detail
    missing = find("py-feat weights", "face_multitask_v2")
    assert missing.status == "missing"
    for said in ("FEAT_MULTITASK_WEIGHTS", "face_multitask_v28.safetensors", "non-commercial"):
        assert said in missing.detail
    assert missing.command == (
        "hf download py-feat/face_multitask_v2 face_multitask_v28.safetensors --cache-dir "
        f"{tmp_path}/feat/resources"
    )


def test_a_variable_that_names_weights_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "arc.safetensors"
    monkeypatch.setenv("FEAT_ARCFACE_R50_PATH", str(file))
    assert find("py-feat weights", "arcface_r50").status == "broken"
    file.touch()
    assert find("py-feat weights", "arcface_r50").status == "found"


def test_generators_are_read_and_checked(machine: Path, tmp_path: Path) -> None:
    assert doctor.is_obstacle(find("generators", "shipped (phantom)"))
    assert find("generators", "your own").command == "mersynth train --source S"
    write_generator(tmp_path / "shipped")
    shipped = find("generators", "shipped (phantom)")
    assert shipped.detail == "32 pixels, step 12, trained on 2 subjects"
    assert not doctor.is_obstacle(shipped)
    write_generator(machine / "checkpoints" / "samm" / "group_0")
    assert find("generators", "checkpoints/samm/group_0").status == "found"
    (weights,) = (machine / "checkpoints" / "samm" / "group_0").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert find("generators", "checkpoints/samm/group_0").status == "broken"


def test_stores_are_opened(machine: Path) -> None:
    assert find("stores", "your own").command == "mersynth prepare --source S"
    write_store(machine / "stores" / "samm")
    assert find("stores", "stores/samm").detail == "1 clips of 1 subjects, 16 pixels"
    (machine / "stores" / "samm" / "frames.npy").unlink()
    assert find("stores", "stores/samm").status == "broken"


def test_every_finding_is_shown_and_every_command_on_a_line_of_its_own() -> None:
    findings = list(doctor.examine())
    for width in (80, None):
        lines = [line.plain for line in doctor.report(findings, width)]
        shown = "\n".join(lines)
        for finding in findings:
            assert finding.part in lines
            assert finding.name in shown
            assert finding.command is None or f"      {finding.command}" in lines
        commands = {f"      {finding.command}" for finding in findings}
        prose = [line for line in lines if line not in commands]
        assert width is None or max(map(len, prose)) <= max(80, len(str(Path.cwd())) + 80)
        assert any(len(command) > 80 for command in commands)


def test_what_stands_between_backticks_and_a_tree_of_folders_stay_whole() -> None:
    command = "`mersynth train --source samm --subject-groups 5 --out checkpoints/another`"
    text = f"{'word ' * 12}{command} makes one\n\n    data/\n        samm/"
    lines = [line.plain for line in doctor.report([Finding("p", "n", "broken", text)], 60)]
    assert f"      {command}" in lines
    assert lines[-2:] == ["          data/", "              samm/"]


def test_what_is_piped_is_not_wrapped(tmp_path: Path) -> None:
    write_generator(tmp_path / "shipped")
    done = CliRunner().invoke(app, ["doctor"])
    (line,) = [line for line in done.output.splitlines() if "retinaface_r34" in line[:20]]
    assert line.endswith("sets another folder), or")
    assert len(line) > 200
    assert "hf download py-feat/retinaface_r34 model.safetensors --cache-dir" in done.output


def test_doctor_fails_only_when_the_main_job_cannot_run(tmp_path: Path) -> None:
    failed = CliRunner().invoke(app, ["doctor"])
    assert failed.exit_code == 1
    assert "`mersynth generate` cannot run without: shipped (phantom)" in failed.output
    write_generator(tmp_path / "shipped")
    passed = CliRunner().invoke(app, ["doctor"])
    assert passed.exit_code == 0, passed.output
    assert "missing" in passed.output
