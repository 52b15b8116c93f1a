"""The documentation site: it builds, and what its tutorials tell readers to run does run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mersynth.config import config_folder
from mersynth.phantom.population import write_store
from mersynth.sources import SOURCES
from recognizers.trained.card import shipped

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))

pytestmark = pytest.mark.skipif(
    not (DOCS / "start.md").is_file(), reason=f"{DOCS} is not there: run from a checkout"
)


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """The language and text of the blocks of a page in these languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return [(language, text) for language, text in found if language in languages]


def environment() -> dict[str, str]:
    """In which this checkout's commands are found."""
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": REPOSITORY}
    return os.environ | {
        name: os.pathsep.join([str(first), *filter(None, [os.environ.get(name)])])
        for name, first in paths.items()
    }


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    for package in ("mkdocs", "material", "mkdocstrings_handlers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is missing: pip install 'mersynth[docs]'")
    site = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]* src=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link[^>]*stylesheet[^>]* href=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link[^>]* href=\"?([^\" >]+)[^>]*stylesheet", text)
        assert loaded
        assert [url for url in loaded if re.match(r"(https?:)?//", url)] == []


@pytest.mark.slow
def test_what_is_made_is_complete(site: Path) -> None:
    databases = (site / "databases.html").read_text(encoding="utf-8")
    for name, source in SOURCES.items():
        assert f"mersynth prepare --source {name}\n" in databases
        assert source.citation.split(" (")[0] in databases
    cards = (site / "cards.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in cards for name in shipped())
    for file in config_folder().glob("*/*.yaml"):
        group = (site / "choices" / f"group_{file.parent.name}.html").read_text(encoding="utf-8")
        assert f'<h2 id="{file.stem}">' in group
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "the site puts here" not in text
        assert not re.search(r":(func|class|mod|meth|data|attr):", text), page


@pytest.mark.slow
def test_api_pages_describe_what_packages_offer(site: Path) -> None:
    from mersynth import augment

    page = (site / "api" / "augment.html").read_text(encoding="utf-8")
    described = set(re.findall(r'id="mersynth\.augment\.(\w+)"', page))
    assert set(augment.__all__) - described == set()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["start.md", "tutorial_report.md", "sharing.md"])
def test_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    if page == "sharing.md":
        pytest.importorskip("datasets", reason="pip install datasets")
    parts = blocks(page, "sh", "python")
    assert len(parts) > 3
    for language, text in parts:
        command = ["bash", "-ec", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("first_clips", ["synthetic/gallery.html", "synthetic/contact_sheet.png"]),
        ("recognizer", ["alone/report.html", "pretrained/report.html", "comparison.html"]),
    ],
)
def test_a_notebook_runs_in_quick_form(
    name: str, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbclient
    import nbformat

    for variable, value in environment().items():
        monkeypatch.setenv(variable, value)
    notebook = nbformat.read(DOCS / "notebooks" / f"{name}.ipynb", as_version=4)
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    assert parameters.source.endswith("\nQUICK = False")
    parameters.source = "QUICK = True"
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=place).execute()
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}_quick"]
    for file in made:
        assert (tmp_path / f"{name}_quick" / file).is_file()
    assert "stderr" not in [
        output.get("name") for cell in notebook.cells for output in cell.get("outputs", ())
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_it_ran(path: Path) -> None:
    assert path.stat().st_size < 300_000
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert kinds & {"image/png", "image/jpeg"}
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]


def test_training_loop_learns_from_others_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"happiness": 9, "anger": 9, "surprise": 6}
    write_store(tmp_path / "stores" / "phantom", image_size=32, subjects=8, counts=counts, seed=0)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for _, code in blocks("tutorial_training.md", "python"):
        exec(compile(code, "tutorial_training.md", "exec"), names)
    people = names["table"]["subject"]
    trained, tested = set(people[names["train_rows"]]), set(people[names["test_rows"]])
    assert trained.isdisjoint(tested)
    assert trained | tested == set(people)
    assert tested
    assert len(names["true"]) == len(names["test_rows"])
    assert names["loss"].isfinite()
    assert all(weight.grad.abs().sum() > 0 for weight in names["model"].parameters())
    assert not torch.equal(names["mixed"]["image"], names["images"])
    assert names["mixed"]["image"].shape == (4, 3, 64, 64)


def test_every_page_is_in_the_navigation() -> None:
    text = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/]+\.md\b", str(yaml.safe_load(text)["nav"])))
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    written |= {path.relative_to(DOCS).with_suffix(".md").as_posix() for path in NOTEBOOKS}
    assert listed == written | {"index.md", "security.md"}  # README and SECURITY
