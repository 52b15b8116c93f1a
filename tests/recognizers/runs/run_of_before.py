"""The folder of a run made before splits and protocols had these names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mersynth import __version__
from mersynth.disk.files import sha256_of_file
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.request import Request
from tests.recognizers.data.tiny_features import write

OVERRIDES = (
    "model.options.image_size=8",
    "model.training.epochs=1",
    "executor.workers=1",
    "device=cpu",
)


def write_run_of_before(folder: Path) -> tuple[Path, Request]:
    """A run in ``folder``, of a feature file there, and the request that made it."""
    data = write(folder / "samm.npz", people=2, each=3)
    request = Request(split="loso", model="ststnet", data=[data], overrides=OVERRIDES)
    run = folder / "before"
    (run / "folds").mkdir(parents=True)
    checksum = json.loads(_RUN.replace("\n", " "))["data"][0][1]
    for name, text in (("run", _RUN), ("results", _RESULTS)):
        text = text.replace("\n", " ").replace(checksum, sha256_of_file(data))
        text = text.replace('"samm.npz"', json.dumps(str(data)))
        content = json.loads(text) | {"mersynth": __version__}
        (run / f"{name}.json").write_text(json.dumps(content))
    for index, text in enumerate(_FOLDS):
        (run / "folds" / f"0_{index:04}.json").write_text(text.replace("\n", " "))
    _write_predictions(run)
    return run, request


def _write_predictions(run: Path) -> None:
    classes = ("negative", "positive", "surprise")
    rows = []
    for text in _FOLDS:
        fold = json.loads(text.replace("\n", " "))
        for i, (clip, found) in enumerate(zip(fold["clips"], fold["probabilities"], strict=True)):
            names = dict(zip(("dataset", "subject", "clip"), clip.split("/"), strict=True))
            labels = {"true": classes[i], "predicted": classes[int(np.argmax(found))]}
            shares = {f"p_{name}": p for name, p in zip(classes, found, strict=True)}
            rows.append({"seed": 0, "fold": fold["fold"], **names, **labels, **shares})
    for name in ("predictions.csv", "oracle.csv"):
        Predictions(pd.DataFrame(rows), classes).to_csv(run / name)


_RUN = """
{"augment": {}, "classes": ["negative", "positive", "surprise"], "data": [["real",
"789eb41355e07364f19b1f2124b6ba33666552a091f50a53e6543f34e411711a"]], "device": "cpu", "features":
null, "folds": ["samm/00", "samm/01"], "habit": "strict", "inner": [null, null], "learned": [3,
3], "mersynth": "0.1.0", "model": {"name": "ststnet", "options": {"dropout": 0.5, "image_size": 8,
"padding": 1}}, "names": null, "pretrained_on": [], "pretraining": null, "protocol": "loso",
"seed": 0, "training": {"batch_size": 256, "epochs": 1, "gradient_clip": null, "optimizer": {"lr":
5e-05, "name": "Adam"}, "sampler": "shuffle", "scheduler": null, "standardise": true}}
"""

_RESULTS = """
{"alike": [], "classes": ["negative", "positive", "surprise"], "data": [{"checksum":
"789eb41355e07364f19b1f2124b6ba33666552a091f50a53e6543f34e411711a", "classes": {"negative": 2,
"positive": 2, "surprise": 2}, "clips": 6, "framing": null, "image_size": null, "path":
"samm.npz", "role": "real", "subjects": 2}], "device": "cpu", "first_label": null, "folds":
[{"leaks": [], "missing": [], "mixed": 0, "name": "samm/00", "pretraining": null, "test": 3,
"tested": ["samm/00"], "train": 3}, {"leaks": [], "missing": [], "mixed": 0, "name": "samm/01",
"pretraining": null, "test": 3, "tested": ["samm/01"], "train": 3}], "groups": null, "habit":
"strict", "headline": "strict", "intervals": {"oracle": {"accuracy": {"estimate":
0.3333333333333333, "high": 0.3333333333333333, "level": 0.95, "low": 0.3333333333333333,
"samples": 2000, "subjects": 2}, "uar": {"estimate": 0.3333333333333333, "high":
0.3333333333333333, "level": 0.95, "low": 0.3333333333333333, "samples": 2000, "subjects": 2},
"uf1": {"estimate": 0.16666666666666666, "high": 0.16666666666666666, "level": 0.95, "low":
0.16666666666666666, "samples": 2000, "subjects": 2}}, "strict": {"accuracy": {"estimate":
0.3333333333333333, "high": 0.3333333333333333, "level": 0.95, "low": 0.3333333333333333,
"samples": 2000, "subjects": 2}, "uar": {"estimate": 0.3333333333333333, "high":
0.3333333333333333, "level": 0.95, "low": 0.3333333333333333, "samples": 2000, "subjects": 2},
"uf1": {"estimate": 0.16666666666666666, "high": 0.16666666666666666, "level": 0.95, "low":
0.16666666666666666, "samples": 2000, "subjects": 2}}}, "marked": [], "mersynth": "0.1.0",
"model": {"config": "ststnet", "name": "ststnet", "options": {"dropout": 0.5, "image_size": 8,
"padding": 1}, "paper": "Liong, Gan, See, Khor, Huang: Shallow Triple Stream Three-dimensional CNN
(STSTNet) for Micro-expression Recognition. FG 2019", "parameters": 531}, "names": null, "oracle":
{"Full": {"mean": {"accuracy": 0.3333333333333333, "uar": 0.3333333333333333, "uf1":
0.16666666666666666}, "sd": null, "seeds": {"0": {"accuracy": 0.3333333333333333, "classes":
["negative", "positive", "surprise"], "confusion": [[2, 0, 0], [2, 0, 0], [2, 0, 0]], "f1":
{"negative": 0.5, "positive": 0.0, "surprise": 0.0}, "recall": {"negative": 1.0, "positive": 0.0,
"surprise": 0.0}, "uar": 0.3333333333333333, "uf1": 0.16666666666666666}}}, "samm": {"mean":
{"accuracy": 0.3333333333333333, "uar": 0.3333333333333333, "uf1": 0.16666666666666666}, "sd":
null, "seeds": {"0": {"accuracy": 0.3333333333333333, "classes": ["negative", "positive",
"surprise"], "confusion": [[2, 0, 0], [2, 0, 0], [2, 0, 0]], "f1": {"negative": 0.5, "positive":
0.0, "surprise": 0.0}, "recall": {"negative": 1.0, "positive": 0.0, "surprise": 0.0}, "uar":
0.3333333333333333, "uf1": 0.16666666666666666}}}}, "pretraining": [], "protocol": "loso",
"scheme": "five", "seconds": 0.25285856400296325, "seeds": [0], "selection": "fixed", "strict":
{"Full": {"mean": {"accuracy": 0.3333333333333333, "uar": 0.3333333333333333, "uf1":
0.16666666666666666}, "sd": null, "seeds": {"0": {"accuracy": 0.3333333333333333, "classes":
["negative", "positive", "surprise"], "confusion": [[2, 0, 0], [2, 0, 0], [2, 0, 0]], "f1":
{"negative": 0.5, "positive": 0.0, "surprise": 0.0}, "recall": {"negative": 1.0, "positive": 0.0,
"surprise": 0.0}, "uar": 0.3333333333333333, "uf1": 0.16666666666666666}}}, "samm": {"mean":
{"accuracy": 0.3333333333333333, "uar": 0.3333333333333333, "uf1": 0.16666666666666666}, "sd":
null, "seeds": {"0": {"accuracy": 0.3333333333333333, "classes": ["negative", "positive",
"surprise"], "confusion": [[2, 0, 0], [2, 0, 0], [2, 0, 0]], "f1": {"negative": 0.5, "positive":
0.0, "surprise": 0.0}, "recall": {"negative": 1.0, "positive": 0.0, "surprise": 0.0}, "uar":
0.3333333333333333, "uf1": 0.16666666666666666}}}}}
"""

_FOLDS = (
    """
{"checksum": "fc8fe883833ef337a748da45a46f5ef0e72f2caaba44e19d77c7076e93fa0d79", "clips":
["samm/00/clip000", "samm/00/clip001", "samm/00/clip002"], "curve": [{"epoch": 1, "learning_rate":
5e-05, "loss": 1.0516626040140789, "test_accuracy": 0.3333333333333333, "train_accuracy":
0.6666666666666666}], "epoch": 1, "fold": "samm/00", "oracle_epoch": 1, "oracle_probabilities":
[[0.44406182445990183, 0.23053978484761428, 0.32539839069248394], [0.43808706837282757,
0.24373953300735257, 0.3181733986198197], [0.39784786971825314, 0.29447811439954874,
0.307674015882198]], "probabilities": [[0.44406182445990183, 0.23053978484761428,
0.32539839069248394], [0.43808706837282757, 0.24373953300735257, 0.3181733986198197],
[0.39784786971825314, 0.29447811439954874, 0.307674015882198]], "seconds": 0.19091973000467988,
"seed": 0, "weights": null}
""",
    """
{"checksum": "56c81e0fe0130d7fb76112332bc3c4d4e93d907b1d5ba121cb51bb35669f8cd3", "clips":
["samm/01/clip003", "samm/01/clip004", "samm/01/clip005"], "curve": [{"epoch": 1, "learning_rate":
5e-05, "loss": 1.9316867192586262, "test_accuracy": 0.3333333333333333, "train_accuracy": 0.0}],
"epoch": 1, "fold": "samm/01", "oracle_epoch": 1, "oracle_probabilities": [[0.4246058241629909,
0.3624713692920004, 0.21292280654500867], [0.45111820300394234, 0.34554325643782485,
0.20333854055823275], [0.46442439270997576, 0.32310318355989076, 0.21247242373013345]],
"probabilities": [[0.4246058241629909, 0.3624713692920004, 0.21292280654500867],
[0.45111820300394234, 0.34554325643782485, 0.20333854055823275], [0.46442439270997576,
0.32310318355989076, 0.21247242373013345]], "seconds": 0.06193883399828337, "seed": 0, "weights":
null}
""",
)
