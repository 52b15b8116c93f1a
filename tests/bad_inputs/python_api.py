"""Calls in Python with arguments of the wrong kind, size or range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mersynth
import recognizers
from mersynth import config
from mersynth.clips import Clip
from mersynth.facs.action_units import condition_vector, parse_au_cell
from mersynth.facs.emotions import classes, label
from mersynth.shards import Shard
from mersynth.store import ClipStore
from mersynth.store.dataset import ClipDataset
from mersynth.store.merge import merge
from mersynth.store.writer import StoreWriter
from recognizers import create_model
from recognizers.data.feature_files import read_features
from recognizers.evaluation.predictions import Predictions
from recognizers.folds.splits import loso
from tests.bad_inputs.case import Case
from tests.tiny_store import tiny_clips


def store() -> Any:
    return ClipStore.open("store")


def clip(**changed: Any) -> Clip:
    given: dict[str, Any] = {
        "source": "samm", "subject": "006", "name": "a", "onset": 1, "apex": 2, "offset": 3,
        "emotion": "anger",
    }  # fmt: skip
    return Clip(**{**given, **changed})


def written(frames: Any, intensities: Any = None, landmarks: Any = None) -> None:
    with StoreWriter("new", tiny_clips(1)[:1], 32, {"source": "samm"}) as writer:
        writer.add(frames, intensities, landmarks)


FRAMES = np.zeros((6, 32, 32, 3), np.uint8)
CURVE = np.zeros((6, 20), np.float32)


def loaded(**given: Any) -> Any:
    return mersynth.load_clips("store", **given)[1][0]


def predicted(values: Any) -> Any:
    return recognizers.load("model", "cpu").predict_proba({"flow_strain": values})


def predicted_clip(frames: Any, **given: Any) -> Any:
    return recognizers.load("model", "cpu").predict_clip(frames, aligned=True, **given)


def python_cases() -> Iterator[Case]:
    for number, (name, call, said) in enumerate(CALLS):
        yield Case(f"Python {number:03}: {name}", ("store", "model", "data.npz", "run"), call, said)


Call = tuple[str, Callable[[], object], str | tuple[str, ...] | None]
X = torch.zeros(2, 3, 28, 28)
CALLS: list[Call] = [
    # A store is a sequence.
    ("store[99]", lambda: store()[99], "99"),
    ("store[-99]", lambda: store()[-99], "-99"),
    ("store[10**30]", lambda: store()[10**30], str(10**30)),
    ("store['a']", lambda: store()["a"], ("'a'", "str")),
    ("store[None]", lambda: store()[None], ("None", "NoneType")),
    ("store[1.5]", lambda: store()[1.5], ("1.5", "float")),
    ("store[[1, 2]]", lambda: store()[[1, 2]], ("[1, 2]", "list")),
    ("store[-1]", lambda: store()[-1], None),
    ("store[np.int64(1)]", lambda: store()[np.int64(1)], None),
    ("store[1:3]", lambda: store()[1:3][0], None),
    ("store[::-1]", lambda: store()[::-1][0], None),
    ("store[99:]", lambda: store()[99:], None),
    ("store[:][::2].frames", lambda: store()[:][::2][-1].frames.sum(), None),
    ("list(store)", lambda: list(store()), None),
    ("reversed", lambda: list(reversed(store())), None),
    ("item in store", lambda: store().clips[0] in store().clips, None),
    ("store.index", lambda: store().clips.index(store().clips[2]), None),
    ("clips[-1]", lambda: store().clips[-1], None),
    ("filter(None)", lambda: store().filter(None), ("None", "NoneType", "keep")),
    ("filter to nothing", lambda: len(store().filter(lambda c: False)), None),
    ("nothing[0]", lambda: store().filter(lambda c: False)[0], "0"),
    ("open(None)", lambda: ClipStore.open(None), ("None", "path")),  # type: ignore[arg-type]
    ("open(5)", lambda: ClipStore.open(5), ("5", "int")),  # type: ignore[arg-type]
    ("open(b'')", lambda: ClipStore.open(b"store"), ("bytes", "b'store'")),  # type: ignore[arg-type]
    ("open('')", lambda: ClipStore.open(""), ("store", ".")),
    *[
        (f"load_clips num_frames={value!r}", lambda v=value: loaded(num_frames=v), "num_frames")
        for value in (0, -1, 1.5, "4", None, float("nan"), 10**9, True, [4])
    ],
    *[
        (f"load_clips scheme={value!r}", lambda v=value: loaded(scheme=v), ("scheme", repr(value)))
        for value in ("seventeen", "", 5, ["five"], b"five")
    ],
    *[
        (f"load_clips names={value!r}", lambda v=value: loaded(names=v), ("names", repr(value)))
        for value in ("other", 5, "", True)
    ],
    ("dataset[99]", lambda: ClipDataset(store())[99], "99"),
    ("dataset[-1]", lambda: ClipDataset(store())[-1], None),
    ("dataset['a']", lambda: ClipDataset(store())["a"], ("'a'", "str")),  # type: ignore[index]
    # A clip is checked as it is made.
    *[
        (f"Clip {name}={str(value)[:20]!r}", lambda n=name, v=value: clip(**{n: v}), name)
        for name, value in [
            *[("fps", v) for v in (0, -1, float("nan"), float("inf"), None, "200", True)],
            *[("onset", v) for v in (None, "1", 1.5, float("nan"), 5, True)],
            *[("offset", v) for v in (None, "3", 0, 3.5, [3])],
            *[("apex", v) for v in (9, "2", 2.5, -1, float("nan"))],
            *[("subject", v) for v in ("", None, "a/b", 6, b"6")],
            *[("source", v) for v in ("", None, "a/b", 5)],
            *[("name", v) for v in ("", None, 5)],
            *[("emotion", v) for v in (None, 5)],
            *[("aus", v) for v in (None, 5, ["4"])],
            *[("strength", v) for v in ("huge", None, 1)],
            *[("unseen", v) for v in (None, "samm/006", [5], 5)],
            *[("template", v) for v in (5,)],
            *[("generator", v) for v in (5,)],
        ]
    ],
    ("Clip of numpy numbers", lambda: clip(onset=np.int64(1), apex=np.int32(2)), None),
    # Writing a store.
    ("write floats", lambda: written(FRAMES.astype(float)), "uint8"),
    ("write a list", lambda: written(FRAMES.tolist()), ("frames", "list")),
    ("write None", lambda: written(None), ("frames", "None")),
    ("write grey", lambda: written(FRAMES[..., 0]), "frames"),
    ("write too few", lambda: written(FRAMES[:-1]), "frames"),
    ("write a number", lambda: written(np.uint8(5)), "frames"),
    ("write a tensor", lambda: written(torch.from_numpy(FRAMES)), "Tensor"),
    ("write whole", lambda: written(FRAMES, CURVE), None),
    ("write intensities 5", lambda: written(FRAMES, CURVE + 5), "5"),
    ("write intensities inf", lambda: written(FRAMES, CURVE + np.inf), "inf"),
    ("write intensities NaN", lambda: written(FRAMES, CURVE * np.nan), None),
    ("write intensities text", lambda: written(FRAMES, CURVE.astype(str)), "intensities"),
    ("write intensities list", lambda: written(FRAMES, CURVE.tolist()), ("intensities", "list")),
    ("write intensities 3", lambda: written(FRAMES, CURVE[:3]), "intensities"),
    (
        "write landmarks inf",
        lambda: written(FRAMES, None, np.full((6, 68, 2), np.inf)),
        "landmarks",
    ),
    ("write landmarks 5", lambda: written(FRAMES, None, np.zeros((6, 5, 2))), "landmarks"),
    ("write nothing", lambda: StoreWriter("new", [], 32, {"source": "x"}), "clip"),
    ("write size 0", lambda: StoreWriter("new", tiny_clips(1), 0, {"source": "x"}), "0"),
    ("write size -5", lambda: StoreWriter("new", tiny_clips(1), -5, {"source": "x"}), "-5"),
    ("write size 1.5", lambda: StoreWriter("new", tiny_clips(1), 1.5, {"source": "x"}), "1.5"),  # type: ignore[arg-type]
    (
        "write size 10**9",
        lambda: StoreWriter("new", tiny_clips(1), 10**9, {"source": "x"}),
        ("size", "space", "new"),
    ),
    ("write without a source", lambda: StoreWriter("new", tiny_clips(1), 32, {}), "source"),
    ("write twice", lambda: StoreWriter("new", tiny_clips(1) * 2, 32, {"source": "x"}), "twice"),
    ("write over", lambda: StoreWriter("store", tiny_clips(1), 32, {"source": "x"}), "store"),
    (
        "write objects",
        lambda: StoreWriter("new", tiny_clips(1), 32, {"source": object()}),
        ("source", "header"),
    ),
    (
        "write NaN",
        lambda: StoreWriter("new", tiny_clips(1), 32, {"source": "x", "a": float("nan")}),
        ("NaN", "nan", "header"),
    ),
    ("merge nothing", lambda: merge([], "new"), ("store", "sizes")),
    ("merge twice", lambda: merge([store(), store()], "new"), "twice"),
    # Facts about faces.
    *[
        (f"AU cell {str(value)[:12]!r}", lambda v=value: parse_au_cell(v), None)
        for value in (
            None,
            float("nan"),
            "",
            4,
            4.0,
            "4+7",
            "(" * 100_000,
            "4+" * 100_000,
            "ref(" * 50_000,
            "(4 or " * 20_000,
            "9" * 10_000,
            "\x00",
            "4" + " " * 100_000,
            "+" * 100_000,
            "A/" * 50_000,
            "?" * 50_000,
            "L" * 100_000,
            "a-" * 50_000,
            "4A/B" + "/B" * 50_000,
            "AU " * 50_000,
            "word " * 50_000,
            "(" * 50_000 + "4" + ")" * 50_000,
            "(" * 240 + "4" + ")" * 240,
            "9" * 400,
            "ref(" * 120 + "4" + ")" * 120,
        )
    ],
    *[
        (f"AU cell {value!r}", lambda v=value: parse_au_cell(v), ("cell", repr(value), "text"))
        for value in ([4], {"a": 4}, b"4", object)
    ],
    *[
        (
            f"unlettered {v!r}",
            lambda v=v: condition_vector(parse_au_cell("4"), unlettered=v),
            "unlettered",
        )
        for v in (-1, 2, float("nan"), float("inf"), None, "x")
    ],
    ("label of no source", lambda: label("nosuch", "anger", "five"), ("nosuch",)),
    ("label of no scheme", lambda: label("samm", "anger", "nosuch"), ("nosuch",)),
    ("label of None", lambda: label("samm", None, "five"), ("None", "emotion")),  # type: ignore[arg-type]
    ("classes of no scheme", lambda: classes("samm", "nosuch"), "nosuch"),
    ("classes of None", lambda: classes(None, "five"), ("None",)),  # type: ignore[arg-type]
    # Models.
    *[
        (
            f"create_model classes {v!r}",
            lambda v=v: create_model("ststnet", v),
            ("num_classes", "classes"),
        )
        for v in (0, 1, -1, 1.5, "3", None, 10**9, float("nan"), True)
    ],
    *[
        (f"create_model {v!r}", lambda v=v: create_model(v, 3), (repr(v), str(v), type(v).__name__))
        for v in ("nosuch", "", None, 5, ["ststnet"])
    ],
    *[
        (
            f"create_model dropout {v!r}",
            lambda v=v: create_model("ststnet", 3, dropout=v),
            "dropout",
        )
        for v in (-1, 2, float("nan"), "x", None, [0.5])
    ],
    ("create_model other option", lambda: create_model("ststnet", 3, nosuch=1), "nosuch"),
    *[
        (
            f"describe {v!r}",
            lambda v=v: recognizers.describe(v),
            (repr(v), str(v), type(v).__name__),
        )
        for v in ("nosuch", "", None, 5)
    ],
    *[
        (
            f"load_published {v!r}",
            lambda v=v: recognizers.load_published("ststnet", v, 3),
            (repr(v), str(v), "tensors"),
        )
        for v in ("nosuch.pth", {}, {"a": 1}, 5, None, "store")
    ],
    *[
        (f"load {v!r}", lambda v=v: recognizers.load(v), (repr(v), str(v), type(v).__name__))
        for v in ("nosuch", "", None, 5, "store")
    ],
    ("load on tpu", lambda: recognizers.load("model", "tpu"), "tpu"),
    # Predictions.
    ("predict zeros", lambda: predicted(X), None),
    ("predict a list", lambda: predicted(X.tolist()), None),
    ("predict NaN", lambda: predicted(X * float("nan")), ("NaN", "nan", "finite")),
    ("predict inf", lambda: predicted(X + float("inf")), ("inf", "finite")),
    ("predict whole numbers", lambda: predicted(X.long()), ("int64", "flow_strain")),
    ("predict one", lambda: predicted(X[0]), "flow_strain"),
    ("predict none", lambda: predicted(X[:0]), ("flow_strain", "clip")),
    ("predict a number", lambda: predicted(5.0), "flow_strain"),
    ("predict None", lambda: predicted(None), ("flow_strain", "None")),
    ("predict text", lambda: predicted("x"), ("flow_strain", "'x'")),
    ("predict other channels", lambda: predicted(X[:, :2]), "flow_strain"),
    ("predict a clip of none", lambda: predicted_clip(np.zeros((0, 64, 64, 3), np.uint8)), "frame"),
    (
        "predict a clip of one",
        lambda: predicted_clip(np.zeros((1, 64, 64, 3), np.uint8)),
        ("frame", "apex"),
    ),
    ("predict a clip of floats", lambda: predicted_clip(np.zeros((5, 64, 64, 3))), "uint8"),
    ("predict a grey clip", lambda: predicted_clip(np.zeros((5, 64, 64), np.uint8)), "(5, 64, 64)"),
    ("predict None as a clip", lambda: predicted_clip(None), ("None", "frames")),
    ("predict 5 as a clip", lambda: predicted_clip(5), ("5", "frames")),
    *[
        (
            f"predict a clip onset={v!r}",
            lambda v=v: predicted_clip(np.zeros((5, 64, 64, 3), np.uint8), onset=v),
            "onset",
        )
        for v in (-1, 9, 1.5, "x", float("nan"), 10**30)
    ],
    (
        "predict_store None",
        lambda: recognizers.load("model").predict_store(None),
        ("None", "store"),
    ),  # type: ignore[arg-type]
    ("predict_file None", lambda: recognizers.load("model").predict_file(None), ("None", "path")),  # type: ignore[arg-type]
    # Others.
    *[
        (f"Shard {v!r}", lambda v=v: Shard.parse(v), (repr(v), v or "I/N"))
        for v in ("", "0/0", "2/1", "a/b", "1", "1/2/3")
    ],
    ("config nosuch", lambda: config.load("nosuch"), "nosuch"),
    ("config None", lambda: config.load(None), "None"),  # type: ignore[arg-type]
    ("config ''", lambda: config.load(""), "''"),
    ("override 5", lambda: config.load("prepare", [5]), "5"),  # type: ignore[list-item]
    ("override None", lambda: config.load("prepare", [None]), "None"),  # type: ignore[list-item]
    (
        "overrides as one text",
        lambda: config.load("prepare", "image_size=256"),
        ("image_size=256", "list"),
    ),
    ("loso of nothing", lambda: loso([]), ("clip", "person", "people", "subject")),
    ("loso of None", lambda: loso(None), ("None", "clips")),  # type: ignore[arg-type]
    ("read_features None", lambda: read_features(None, {}), ("None", "path")),  # type: ignore[arg-type]
    ("predictions of a folder", lambda: Predictions.from_csv("run"), "run"),
    ("predictions of None", lambda: Predictions.from_csv(None), ("None", "path")),  # type: ignore[arg-type]
    (
        "open a run of None",
        lambda: __import__("recognizers.report.run", fromlist=["Run"]).Run.open(None),
        ("None", "path"),
    ),
]
_ = Path
