"""What ``pip install`` gives a user: configs, types, and imports that stay light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mersynth import config

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
HEAVY = {
    "captum",
    "feat",
    "gradio",
    "jinja2",
    "joblib",
    "kornia",
    "matplotlib",
    "openpyxl",
    "pandas",
    "pyarrow",
    "ray",
    "sklearn",
    "torch",
    "torchmetrics",
}


@pytest.mark.parametrize(
    "statement",
    [
        "import mersynth",
        "import recognizers",
        "from mersynth.cli import app; app(['--help'], standalone_mode=False)",
        "from mersynth.cli import app; app(['generate', '--help'], standalone_mode=False)",
        "from mersynth.cli import app; app(['export', '--help'], standalone_mode=False)",
        "from mersynth.cli import app; app(['quality', '--help'], standalone_mode=False)",
        "import mersynth.quality",
        "from recognizers.cli import app; app(['--help'], standalone_mode=False)",
        "from recognizers.cli import app; app(['list'], standalone_mode=False)",
        "from recognizers.cli import app; app(['loso', '--help'], standalone_mode=False)",
    ],
)
def test_what_every_user_waits_for_imports_nothing_heavy(statement: str) -> None:
    code = f"import sys\n{statement}\nsys.stderr.write('modules: ' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.rpartition("modules: ")[2].split())
    assert "sys" in loaded
    assert loaded & HEAVY == set()


def test_what_needs_torch_imports_little_besides() -> None:
    """One process for both, since torch takes seconds."""
    code = (
        "import sys, time, torch\n"
        "from mersynth import doctor; finding = doctor._device()\n"
        "assert finding.status == 'found', finding\n"
        "start = time.process_time(); import mersynth.augment\n"
        "sys.stderr.write(f'{time.process_time() - start} modules: ' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    seconds, _, modules = done.stderr.rpartition(" modules: ")
    assert float(seconds.split()[-1]) < 3
    loaded = set(modules.split())
    assert "torchvision" not in loaded  # whose operators the doctor looks at, and which takes long
    assert loaded & (HEAVY | {"hydra", "skimage"}) == {"torch"}


def test_every_shipped_config_composes() -> None:
    files = config.config_folder().glob("*.yaml")
    names = sorted(file.stem for file in files if file.name != config.RANGES)
    assert {"evaluate", "export", "generate", "phantom", "prepare", "quality", "train"} <= set(
        names
    )
    for name in names:
        assert len(config.load(name)) > 0, name


def test_the_wheel_maps_the_configs_to_where_they_are_looked_for_first() -> None:
    target = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]["configs"]
    assert target == "mersynth/configs"


def test_packaged_configs_are_found_before_those_of_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mersynth"
    package.mkdir()
    monkeypatch.setattr(config, "__file__", str(package / "config.py"))
    assert config.config_folder() == tmp_path / "configs"
    (package / "configs").mkdir()
    assert config.config_folder() == package / "configs"


def test_dependencies_have_no_upper_bounds_and_tested_versions_are_recorded() -> None:
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    tested = {
        Requirement(line).name: Requirement(line) for line in lines if not line.startswith("#")
    }
    for requirement in wanted:
        assert {s.operator for s in requirement.specifier} == {">="}, requirement
        (version,) = tested[requirement.name].specifier
        assert requirement.specifier.contains(version.version), requirement


def test_the_types_are_shipped() -> None:
    for package in ("mersynth", "recognizers"):
        assert (REPOSITORY / package / "py.typed").is_file()
