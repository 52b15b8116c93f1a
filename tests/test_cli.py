from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any
from unittest.mock import create_autospec

import pytest
import typer
from omegaconf import OmegaConf
from typer.testing import CliRunner

from mersynth import __version__, config
from mersynth.cli import app
from mersynth.face.template import FramingChoice
from mersynth.facs.emotions import classes
from mersynth.phantom.capture import LAB
from mersynth.phantom.variety import WIDE
from mersynth.shards import Shard
from mersynth.store.clip_store import StoreError
from recognizers.cli import app as recognizers_app

FUNCTIONS = {
    "phantom": ("mersynth.phantom.tree", "write_tree"),
    "prepare": ("mersynth.prepare.command", "prepare"),
    "train": ("mersynth.gan.train", "train"),
    "generate": ("mersynth.synthesis.generate", "generate"),
    "export": ("mersynth.export", "export"),
}


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def replace(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Puts a recorder of the same signature instead of the function behind a command."""

    def replace(command: str, does: Any = None) -> Any:
        module = importlib.import_module(FUNCTIONS[command][0])
        recorder = create_autospec(getattr(module, FUNCTIONS[command][1]), side_effect=does)
        monkeypatch.setattr(module, FUNCTIONS[command][1], recorder)
        return recorder

    return replace


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def arguments_of(recorder: Any) -> dict[str, Any]:
    """What the command passed, by parameter name."""
    (call,) = recorder.call_args_list
    bound = inspect.signature(recorder).bind(*call.args, **call.kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def test_phantom_passes_its_flags_and_overrides(replace: Callable[..., Any]) -> None:
    recorder = replace("phantom")
    result = run(
        *("phantom", "--like", "t.xlsx", "--layout", "samm", "--out", "o", "--limit", "3"),
        *("--seed", "7", "strength=macro", "capture.blinks=0"),
    )
    assert result.exit_code == 0, result.output
    assert arguments_of(recorder) == {
        "table": Path("t.xlsx"),
        "layout": "samm",
        "out": Path("o"),
        "limit": 3,
        "image_size": 128,
        "seed": 7,
        "strength": "macro",
        "release": "cropped",
        "framing": FramingChoice("auto"),
        "population": WIDE,
        "capture": dataclasses.replace(LAB, blinks=0.0),
    }


def test_prepare_passes_its_flags_and_a_flag_wins_over_an_override(
    replace: Callable[..., Any],
) -> None:
    recorder = replace("prepare")
    flags = ("--image-size", "64", "--intensities", "v1")
    result = run("prepare", "--source", "samm", *flags, "image_size=256", "framing.eyes=0.3")
    assert result.exit_code == 0, result.output
    assert arguments_of(recorder) == {
        "source": "samm",
        "root": None,
        "out": None,
        "images": [],
        "videos": [],
        "features": {},
        "skip_bad": False,
        "resume": False,
        "seed": 0,
        "settings": {
            "image_size": 64,
            "geometry": "auto",
            "framing": FramingChoice(eyes=0.3),
            "face": "largest",
            "detector": "auto",
            "intensities": "v1",
            "min_confidence": 0.8,
            "apex": "auto",
            "doubtful_apex": "keep",
            "strength": None,
        },
    }


def test_prepare_refuses_what_a_store_has_no_use_for(replace: Callable[..., Any]) -> None:
    recorder = replace("prepare")
    store = ("prepare", "--store", "s", "--features", "flow")
    for useless in (
        *(("--root", "r"), ("--image", "i.png"), ("--image-size", "8"), ("--out", "o")),
        ("--intensities", "v2"),
    ):
        result = run(*store, *useless)
        assert result.exit_code == 2
        assert "only --features" in result.output
    assert not recorder.called


def test_prepare_gives_each_feature_its_options(replace: Callable[..., Any]) -> None:
    recorder = replace("prepare")
    wanted = ("--features", "strain,tim", "flow@feature.strain=dis", "feature.tim.num_frames=18")
    result = run("prepare", "--source", "samm", *wanted)
    assert result.exit_code == 0, result.output
    assert arguments_of(recorder)["features"] == {
        "strain": {"method": "dis", "preset": "medium", "finest_scale": 0},
        "tim": {"num_frames": 18},
    }


def test_train_finds_store_and_checkpoint_of_a_source(replace: Callable[..., Any]) -> None:
    recorder = replace("train")
    result = run(
        *("train", "--source", "samm", "--subject-groups", "2", "--resume", "--distinct"),
        *("--group", "1", "--estimate", "gan=tiny"),
    )
    assert result.exit_code == 0, result.output
    assert arguments_of(recorder) == {
        "store_path": Path("stores/samm"),
        "out": Path("checkpoints/samm"),
        "subject_groups": 2,
        "group": 1,
        "resume": True,
        "estimate": True,
        "names": "distinct",
        "seed": 0,
        "overrides": ["gan=tiny"],
    }


def test_train_on_a_store_names_the_checkpoint_after_it(replace: Callable[..., Any]) -> None:
    recorder = replace("train")
    assert run("train", "--store", "elsewhere/mine", "--seed", "5").exit_code == 0
    passed = arguments_of(recorder)
    assert passed["store_path"] == Path("elsewhere/mine")
    assert passed["out"] == Path("checkpoints/mine")
    assert passed["seed"] == 5


def test_generate_passes_everything(replace: Callable[..., Any]) -> None:
    recorder = replace("generate")
    result = run(
        *("generate", "--store", "s", "--per-class", "4", "--classes", "three", "--out", "o"),
        *("--generator", "warp", "--checkpoint", "c", "--faces", "f", "--dry-run", "--resume"),
        *("--same-person", "--seed", "9", "batch_size=8", "--shard", "3/8", "--workers", "2"),
        *("--estimate", "--tested", "t", "--tested", "u"),
    )
    assert result.exit_code == 0, result.output
    assert arguments_of(recorder) == {
        "source": None,
        "store": Path("s"),
        "per_class": 4,
        "classes": "three",
        "generator": "warp",
        "checkpoint": Path("c"),
        "faces": Path("f"),
        "tested": [Path("t"), Path("u")],
        "out": Path("o"),
        "dry_run": True,
        "estimate": True,
        "resume": True,
        "shard": Shard(3, 8),
        "workers": 2,
        "names": "same",
        "seed": 9,
        "overrides": ["batch_size=8"],
    }


def test_export_passes_everything(replace: Callable[..., Any]) -> None:
    recorder = replace("export")
    result = run(
        *("export", "--store", "s", "--layout", "npz", "--out", "o.npz", "--classes", "three"),
        *("--features", "u,v,strain", "--size", "28", "--skip-bad", "--seed", "4", "flow=dis"),
    )
    assert result.exit_code == 0, result.output
    assert arguments_of(recorder) == {
        "store": Path("s"),
        "layout": "npz",
        "out": Path("o.npz"),
        "aus": None,
        "naming": None,
        "classes": "three",
        "features": "u,v,strain",
        "size": 28,
        "skip_bad": True,
        "names": None,
        "resume": False,
        "seed": 4,
        "overrides": ["flow=dis"],
    }


def test_export_takes_aus_alone(replace: Callable[..., Any]) -> None:
    recorder = replace("export")
    assert run("export", "--store", "s", "--aus", "csv", "--out", "o").exit_code == 0
    passed = arguments_of(recorder)
    assert (passed["layout"], passed["aus"]) == (None, "csv")
    assert run("export", "--store", "s", "--aus", "json", "--out", "o").exit_code == 2


def test_prepare_takes_any_path(replace: Callable[..., Any]) -> None:
    recorder = replace("prepare")
    place = "openface=/data/a b,c/${d}/e=f's"
    assert run("prepare", "--source", "samm", "--intensities", place).exit_code == 0
    assert arguments_of(recorder)["settings"]["intensities"] == place


def test_generate_takes_faces_alone(replace: Callable[..., Any]) -> None:
    recorder = replace("generate")
    assert run("generate", "--faces", "photos", "--per-class", "4").exit_code == 0
    passed = arguments_of(recorder)
    assert (passed["faces"], passed["source"], passed["store"]) == (Path("photos"), None, None)
    both = ("--source", "samm", "--store", "s")
    assert run("generate", "--faces", "photos", *both, "--per-class", "4").exit_code == 2


@pytest.mark.parametrize("command", ["train", "generate"])
@pytest.mark.parametrize("clips", [(), ("--source", "samm", "--store", "s")])
def test_clips_are_named_in_exactly_one_way(command: str, clips: tuple[str, ...]) -> None:
    result = run(command, *clips, *(("--per-class", "1") if command == "generate" else ()))
    assert result.exit_code == 2
    assert "either --source or --store" in result.output


@pytest.mark.parametrize(
    "command", ["phantom", "prepare", "train", "generate", "quality", "export", "transfer"]
)
def test_every_working_command_takes_a_seed_and_overrides(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--seed" in result.output
    assert "overrides" in result.output


OF_RECOGNIZERS = dict.fromkeys(("loso", "lovo", "cde", "cross"), "evaluate")
OF_MERSYNTH = {
    name: name
    for name in ("phantom", "prepare", "train", "generate", "quality", "export", "transfer")
}


@pytest.mark.parametrize(
    ("application", "command", "composed"),
    [
        *((app, command, name) for command, name in OF_MERSYNTH.items()),
        *((recognizers_app, command, name) for command, name in OF_RECOGNIZERS.items()),
    ],
)
def test_the_overrides_that_help_shows_are_those_that_the_command_takes(
    application: typer.Typer, command: str, composed: str
) -> None:
    shown = typer.main.get_command(application).commands[command]
    (argument,) = (parameter for parameter in shown.params if parameter.name == "overrides")
    (example,) = re.findall(r"\S+=\w+", argument.help)
    key, _, value = example.partition("=")
    assert str(OmegaConf.select(config.load(composed, [example]), key)).lower() == value
    assert str(OmegaConf.select(config.load(composed), key)).lower() != value
    for key, values in re.findall(r"([\w.]+)=([\w.|]*\w)", shown.help):
        for value in values.split("|"):  # geometry=align|crop|resize
            config.load(composed, [f"{key}={value}"])


@pytest.mark.parametrize(("flag", "named"), [("--limit", "limit"), ("--size", "image_size")])
def test_a_zero_is_not_taken_for_a_flag_that_was_left_out(
    flag: str, named: str, replace: Callable[..., Any]
) -> None:
    recorder = replace("phantom")
    command = ("phantom", "--like", "t.xlsx", "--layout", "samm", "--out", "o")
    refused = run(*command, flag, "0")
    assert refused.exit_code == 2
    assert re.search(rf"{named} must be .*, got 0", " ".join(refused.output.split()))
    assert not recorder.called


def test_a_negative_seed_is_refused(replace: Callable[..., Any]) -> None:
    recorder = replace("prepare")
    assert run("prepare", "--source", "samm", "--seed", "-1").exit_code == 2
    assert not recorder.called


def test_version() -> None:
    assert run("--version").output.strip() == f"mersynth {__version__}"


def test_a_wrong_override_is_one_message(replace: Callable[..., Any]) -> None:
    recorder = replace("prepare")
    result = run("prepare", "--source", "samm", "image_sise=64")
    assert result.exit_code == 2
    assert result.output.startswith("error: override 'image_sise=64'")
    assert "Traceback" not in result.output
    assert not recorder.called


def _wrong_label(**_: object) -> None:
    classes("nowhere", "five")


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (StoreError("no store at stores/samm"), "error: no store at stores/samm\n", 1),
        (FileNotFoundError(2, "No such file", "data/samm"), "data/samm", 1),
        (config.ConfigError("steps must be 1 or more"), "error: steps must be 1 or more\n", 2),
        (_wrong_label, "no emotion labels for source 'nowhere'", 2),
    ],
)
def test_an_error_for_the_user_is_one_message(
    replace: Callable[..., Any], error: Any, said: str, code: int
) -> None:
    replace("train", does=error)
    result = run("train", "--source", "samm")
    assert result.exit_code == code
    assert said in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_debug_shows_where_an_error_comes_from(replace: Callable[..., Any]) -> None:
    replace("train", does=StoreError("no store"))
    assert isinstance(run("--debug", "train", "--source", "samm").exception, StoreError)


@pytest.mark.parametrize("mistake", [KeyError("x"), ValueError("raised outside of mersynth")])
def test_a_mistake_in_the_code_keeps_its_traceback(
    replace: Callable[..., Any], mistake: Exception
) -> None:
    replace("train", does=mistake)
    assert run("train", "--source", "samm").exception is mistake


def test_a_missing_store_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("train", "--source", "samm")
    assert result.exit_code == 1
    assert "no store at stores/samm; `mersynth prepare" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="sets the size of a pipe")
def test_a_command_whose_output_nobody_reads_ends_without_a_word() -> None:
    command = [sys.executable, "-m", "mersynth", "generate", "--help"]
    given: dict[str, Any] = {"stdout": PIPE, "stderr": PIPE, "bufsize": 0, "pipesize": 4096}
    with subprocess.Popen(command, **given) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for _ in range(20):
            running.stdout.readline()
        running.stdout.close()  # the rest of the text does not fit in the pipe
        assert running.stderr.read() == b""
    assert running.returncode == 1
