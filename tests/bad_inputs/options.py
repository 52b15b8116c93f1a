"""Options and config values: of the wrong kind, senseless, and far too large."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bad_inputs.case import Case
from tests.bad_inputs.world import QUICK

GENERATE = ("mersynth", "generate", "--store", "store", "--checkpoint", "generator", "--dry-run")
MAKE = (*GENERATE[:-1], "--per-class", "1", "--out", "g")
PREPARE = ("mersynth", "prepare", "--source", "samm", "--root", "tree", "--out", "s")
EXPORT = ("mersynth", "export", "--store", "store", "--out", "e")
QUALITY = ("mersynth", "quality", "--real", "store", "--synthetic", "made", "--out", "q")
TRAIN = (
    *("mersynth", "train", "--store", "store", "--out", "c", "gan=tiny", "steps=1"),
    *("gan.image_size=64", "batch_size=1", "device=cpu"),
)
PHANTOM = (
    *("mersynth", "phantom", "--like", "tree/SAMM_Micro_FACS_Codes_v2.xlsx", "--layout", "samm"),
    *("--out", "t", "--limit", "1", "--size", "16"),
)
TRANSFER = (
    "mersynth",
    "transfer",
    "--store",
    "store",
    "--face",
    "store",
    "--generator",
    "warp",
    "--out",
    "d",
)
FOLLOW = (*TRANSFER, "--driving", "samm/000/anger_0")
LOSO = ("recognizers", "loso", "--model", "ststnet_tiny", "--data", "data.npz", "--out", "l")
RUN = (*LOSO, *QUICK)
FIT = ("recognizers", "fit", "--model", "ststnet_tiny", "--data", "data.npz", "--out", "f", *QUICK)
PREDICT = ("recognizers", "predict", "--model", "model", "--store", "store", "--out", "p")
NEEDS = ("store", "made", "tree", "generator", "model", "data.npz", "more.npz", "film.mp4", "run")

NUMBERS = ("-1", "1.5", "x", "", "9" * 40, "nan", "0x10")
LARGE = ("100000", "9" * 18)


def option_cases() -> Iterator[Case]:
    for (command, option, allowed), value in itertools.product(COUNTS, (*NUMBERS, *LARGE)):
        if value not in allowed:
            said = (option, option.removeprefix("--").replace("-", "_"), value or "''")
            name = f"{command[0]} {command[1]} {option} {_short(value)}"
            yield Case(name, NEEDS, (*command, option, value), said)
    for command, option, values in CHOICES:
        for value in values:
            name = f"{command[0]} {command[1]} {option} {value[:20]!r}"
            yield Case(
                name,
                NEEDS,
                (*command, option, value),
                (option, value or "''", value.rpartition(",")[2]),
            )
    for command, option, kinds in PATHS:
        for kind in kinds:
            value, make = PLACES[kind]
            name = f"{command[0]} {command[1]} {option} {kind}"
            # Of a table, its name alone is told.
            said = (value, option, option.removeprefix("--"), Path(value).name)
            yield Case(name, NEEDS, (*command, option, value), said, make)
    for command, key, values in VALUES:
        for value in values:
            name = f"{command[0]} {command[1]} {key}={value[:30]}"
            said = (key.rpartition(".")[2], value, value.strip("[]"))
            yield Case(name, NEEDS, (*command, f"{key}={value}"), said)
    for command, override in itertools.product((MAKE, FIT, TRAIN), OVERRIDES):
        name = f"{command[0]} {command[1]} {override[:30]!r}"
        said = (override[:20], "device", "''")
        yield Case(name, NEEDS, (*command, override), said)
    for name, command, said in TOGETHER:
        yield Case(name, NEEDS, command, said)


def _short(value: str) -> str:
    return repr(value) if len(value) < 13 else f"{value[0]} x {len(value)}"


COUNTS: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [
    (GENERATE, "--per-class", ("100000",)),
    ((*MAKE, "--dry-run"), "--seed", ("100000", "9" * 18, "9" * 40)),
    (MAKE, "--workers", ()),
    (PREPARE, "--image-size", ()),
    (PREPARE, "--seed", ("100000", "9" * 18, "9" * 40)),
    ((*EXPORT[:-1], "e.npz", "--layout", "npz"), "--size", ()),
    (PHANTOM[:-4], "--limit", ("100000", "9" * 18, "9" * 40)),
    (PHANTOM[:-2], "--size", ()),
    (TRAIN, "--subject-groups", ()),
    ((*TRAIN, "--subject-groups", "2"), "--group", ()),
    (RUN, "--groups", ()),
    (RUN, "--first-label", ()),
    ((*RUN, "--estimate"), "--seeds", ("100000", "9" * 18)),
    (
        ("recognizers", "predict", "--model", "model", "--video", "film.mp4", "--out", "p"),
        "--onset",
        (),
    ),
    ((*TRANSFER, "--driving", "film.mp4", "--aligned"), "--apex", ()),
    (("mersynth", "studio"), "--port", ()),
]
SHARDS = ("0/2", "3/2", "1/0", "x", "1/2/3", "-1/2", "1.5/2", "", "1/100000000000")
CHOICES: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [
    (MAKE, "--classes", ("seventeen", "", "FIVE")),
    (MAKE, "--generator", ("other", "")),
    (EXPORT, "--layout", ("other", "", "npz,samm")),
    (PREPARE, "--source", ("nosuch", "", "../samm")),
    (PREPARE, "--strength", ("huge", "1")),
    (PREPARE, "--features", ("nosuch", "flow,", "flow,nosuch", "{", "[flow", "flow]", "'")),
    (PREPARE, "--intensities", ("v9", "openface", "openface=", "blendshapes=none.task", "")),
    (LOSO, "--model", ("nosuch", "", "../ststnet", "ststnet.yaml", "ststnet_tiny,mmnet")),
    (LOSO, "--protocol", ("lenient", "")),
    (LOSO, "--shard", SHARDS),
    (MAKE, "--shard", SHARDS),
    (PREDICT, "--device", ("tpu", "", "cuda:99", "cuda")),
    (("recognizers", "explain", "--run", "run"), "--method", ("x", "")),
    (("recognizers", "list"), "nosuch", ("x",)),
    (FOLLOW, "--subject", ("nobody", "", "samm/", "/")),
    (TRANSFER, "--driving", ("nosuch", "", "samm/000/nosuch", "samm", "a/b/c/d", "/")),
]
PLACES: dict[str, tuple[str, Callable[[], object] | None]] = {
    "missing": ("none", None),
    "nothing": ("", None),
    "a file": ("note.txt", lambda: Path("note.txt").write_text("hello")),
    "an empty folder": ("hollow", lambda: Path("hollow").mkdir()),
    "a FIFO": ("pipe", lambda: os.mkfifo("pipe")),
    "a link to itself": ("loop", lambda: os.symlink("loop", "loop")),
    "a name too long": ("n" * 300, None),
    "within a file": ("data.npz/inner", None),
    "a NUL": ("a\0b", None),
    "/dev/null": ("/dev/null", None),
    "/proc": ("/proc/nosuch/x", None),
    "a store": ("made", None),
    "a recognizer": ("model", None),
    "not UTF-8": (os.fsdecode(b"caf\xe9"), None),
}
EVERY = tuple(kind for kind in PLACES if kind != "a store")
OUT = ("a file", "a FIFO", "a link to itself", "a name too long", "within a file", "a NUL",
       "/dev/null", "/proc", "a store")  # fmt: skip
PATHS: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [
    (("mersynth", "doctor"), "--store", EVERY),
    (("mersynth", "doctor"), "--checkpoint", EVERY),
    (("mersynth", "generate", "--per-class", "1", "--dry-run"), "--store", EVERY),
    ((*GENERATE[:4], "--per-class", "1", "--dry-run"), "--checkpoint", EVERY),
    ((*MAKE, "--dry-run"), "--faces", EVERY),
    ((*MAKE, "--dry-run"), "--tested", EVERY),
    (MAKE[:-2], "--out", OUT),
    (PREPARE[:4], "--root", EVERY),
    (PREPARE[:-2], "--out", OUT),
    (("mersynth", "prepare", "--source", "folder", "--out", "s"), "--image", EVERY),
    (("mersynth", "prepare", "--source", "folder", "--out", "s"), "--video", EVERY),
    ((*EXPORT[:2], "--out", "e", "--layout", "mp4"), "--store", EVERY),
    ((*EXPORT[:4], "--layout", "imagefolder"), "--out", OUT),
    ((*QUALITY[:4], "--out", "q"), "--synthetic", EVERY),
    (QUALITY[:-2], "--out", OUT),
    ((*TRANSFER[:2], "--driving", "film.mp4", "--out", "d"), "--face", EVERY),
    ((*FOLLOW[:-2], "--driving", "film.mp4"), "--store", ("missing", "a file", "a FIFO")),
    (("mersynth", "phantom", "--layout", "samm", "--out", "t"), "--like", EVERY),
    ((*TRAIN[:2], "--out", "c"), "--store", EVERY),
    ((*LOSO[:4], "--out", "l"), "--store", EVERY),
    ((*LOSO[:4], "--out", "l"), "--data", EVERY),
    (LOSO, "--pretrain", EVERY),
    (LOSO, "--pretrain-data", EVERY),
    (LOSO, "--mix", EVERY),
    (LOSO[:-2] + QUICK, "--out", OUT),
    (FIT[:6] + QUICK, "--out", OUT),
    (
        ("recognizers", "predict", "--store", "store"),
        "--model",
        [k for k in EVERY if k != "a recognizer"],
    ),
    (("recognizers", "predict", "--model", "model"), "--video", EVERY),
    (("recognizers", "predict", "--model", "model"), "--clip", EVERY),
    (("recognizers", "explain", "--method", "tsne"), "--run", EVERY),
    (("recognizers", "doctor"), "--run", EVERY),
    (("recognizers", "report", "run", "run"), "--out", OUT),
]  # type: ignore[list-item]
NONSENSE = ("nan", "inf", "-1", "x", "null", "[1]", "{a: 1}", "", "1e400", "9" * 30, "true")
VALUES: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [
    ((*MAKE, "num_frames=2"), "strength", NONSENSE),
    (MAKE, "num_frames", (*NONSENSE, "100000", "0", "1")),
    (MAKE, "batch_clips", (*NONSENSE, "0")),
    (MAKE, "conditions.micro_gain", NONSENSE),
    (MAKE, "conditions.noise", NONSENSE),
    (MAKE, "framing.eyes", ("nan", "-1", "5", "x", "inf")),
    (MAKE, "framing", ("other", "[1]", "null", "5")),
    (MAKE, "head_motion", ("5", "x", "null")),
    (MAKE, "device", ("tpu", "null", "5", "cuda")),
    (PREPARE, "framing.apart", ("nan", "-1", "0", "x", "1e300")),
    (PREPARE, "geometry", ("other", "null", "5")),
    (PREPARE, "detector", ("other", "null")),
    (PREPARE, "apex", ("other", "null", "5")),
    (PREPARE, "doubtful_apex", ("other", "null")),
    (PREPARE, "features", ("[nosuch]", "5", "null", "flow", "[5]", "[[flow]]")),
    (PHANTOM, "population.glasses", NONSENSE),
    (PHANTOM, "capture", ("other", "5", "null")),
    (PHANTOM, "framing.eyes", ("nan", "7", "x")),
    (PHANTOM, "strength", NONSENSE),
    (FIT, "model.training.epochs", (*NONSENSE, "0", "10000000")),
    (FIT, "model.training.batch_size", (*NONSENSE, "0")),
    (FIT, "model.training.optimizer.lr", NONSENSE),
    (FIT, "model.options.dropout", (*NONSENSE, "1", "1.5")),
    (FIT, "model.name", ("nosuch", "null", "5", "[1]")),
    (FIT, "executor.workers", ("100000", "0", "-1", "1.5", "x")),
    (FIT, "framing", ("other", "5")),
    (FIT, "scale", ("other", "5", "[1]")),
    (FIT, "precision", ("64", "null", "16-mixed")),
    (TRAIN, "steps", (*NONSENSE, "0")),
    (TRAIN, "learning_rate", NONSENSE),
    (TRAIN, "batch_size", (*NONSENSE, "0", "100000000")),
    (TRAIN, "gan.image_size", (*NONSENSE, "100000", "7", "33")),
    (TRAIN, "gan.generator.blocks", (*NONSENSE, "10000000")),
    (TRAIN, "gan.losses.gradient_penalty", NONSENSE),
    (TRAIN, "gan.init_from", ("nosuch", "5", "[1]", "store", "/dev/null")),
    (TRAIN, "macro_store", ("nosuch", "5", "[1]", "model", "/dev/null")),
    ((*EXPORT, "--layout", "mp4"), "codec", ("other", "null", "5")),
    ((*EXPORT, "--layout", "mp4"), "skip_bad", ("5", "x")),
    ((*EXPORT, "--layout", "webdataset"), "shard_clips", NONSENSE),
    ((*EXPORT, "--layout", "imagefolder"), "quality", NONSENSE),
    ((*FOLLOW,), "strength", NONSENSE),
    ((*FOLLOW,), "image_size", ("100000", "0", "-1", "x")),
    (QUALITY, "max_clips", NONSENSE),
    (QUALITY, "reader.kind", ("other", "null")),
]
OVERRIDES = (
    "nosuch=1", "=1", "nosuch", "a.b.c=1", "+device=cpu", "~device", "device", "device==cpu",
    "device=cpu,cuda", "device=${nosuch}", "device=${oc.env:HOME}", "device='", "device=[",
    "hydra.run.dir=x", "device@x=cpu", "", " ", "\n", "device=" + "(" * 2000, "--nosuch",
    "device=" + "x" * 100_000,
)  # fmt: skip
TOGETHER: list[tuple[str, tuple[str, ...], Any]] = [
    ("source and store", (*MAKE, "--source", "samm"), "--source"),
    ("neither source nor store", ("mersynth", "train"), "--source"),
    ("same and distinct", (*MAKE, "--same-person", "--distinct"), "--distinct"),
    ("warp and a checkpoint", (*MAKE, "--generator", "warp"), "--checkpoint"),
    ("two predictions", (*PREDICT, "--data", "data.npz"), "--data"),
    ("moments of a store", (*PREDICT, "--onset", "1"), "--onset"),
    ("data twice", (*LOSO, "--data", "data.npz"), "data.npz"),
    ("data pretrained on", (*LOSO, "--pretrain-data", "data.npz"), "data.npz"),
    ("classes of features", (*LOSO, "--classes", "five"), "classes"),
    ("lovo in groups", ("recognizers", "lovo", *LOSO[2:], "--groups", "2"), "groups"),
    ("no data", LOSO[:4], ("--store", "--data")),
    ("one database in cde", ("recognizers", "cde", *RUN[2:]), "2 or more databases"),
    ("a group without groups", (*TRAIN, "--group", "1"), "group"),
    ("photos of a database", (*PREPARE[:4], "--image", "tree"), "--image"),
    ("an unknown command", ("mersynth", "nosuch"), "nosuch"),
    ("an unknown option", ("mersynth", "doctor", "--nosuch"), "--nosuch"),
    ("an option without its value", ("mersynth", "doctor", "--store"), "--store"),
    ("nothing to examine", ("recognizers", "doctor"), "--run"),
    ("a run that is no run", ("recognizers", "report", "store"), "store"),
    ("a page that is no page", ("recognizers", "report", "run", "run", "--out", "x.pdf"), "x.pdf"),
    ("npz without its ending", (*EXPORT, "--layout", "npz"), "npz"),
    ("raw names of mp4", (*EXPORT, "--layout", "mp4", "--naming", "raw"), "naming"),
    ("channels of mp4", (*EXPORT, "--layout", "mp4", "--features", "u"), "features"),
    (
        "unknown channels",
        (*EXPORT[:4], "--layout", "npz", "--out", "e.npz", "--features", "q"),
        "q",
    ),
    ("generators of one person", (*TRAIN, "--subject-groups", "50"), "50"),
    (
        "quality of itself",
        ("mersynth", "quality", "--real", "store", "--synthetic", "store"),
        "store",
    ),
    ("training on synthetic clips", ("mersynth", "train", "--store", "made"), "made"),
    ("generating from synthetic", ("mersynth", "generate", "--store", "made", "--per-class", "1",
                                   "--checkpoint", "generator"), "made"),
]  # fmt: skip
