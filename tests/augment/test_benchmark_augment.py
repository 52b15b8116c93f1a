"""The benchmark of augmentations measures every one of them and stores its figures."""

from __future__ import annotations

import json
from pathlib import Path

from mersynth import augment
from tests.script_modules import run_script


def test_every_transform_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "speed.md"
    assert run_script("benchmark_augment", "--quick", "--out", out).code == 0
    figures = json.loads(out.with_suffix(".json").read_text())
    rows = figures["rows"]
    names = {row["transform"].partition(",")[0] for row in rows}
    transforms = {
        name
        for name in augment.__all__
        if isinstance(getattr(augment, name), type)
        and issubclass(getattr(augment, name), augment.Augmentation)
    }
    assert transforms - {"Augmentation"} | {"AUWarp", "EMR"} <= names
    assert {"kornia RandomHorizontalFlip", "kornia RandomErasing"} <= names
    scale = next(row for row in rows if row["transform"] == "kornia RandomHorizontalFlip")
    assert scale["times_flip"] == 1
    for row in rows:
        assert row["per_second"] > 0
        if row["where"] == scale["where"]:
            assert abs(row["times_flip"] * row["per_second"] / scale["per_second"] - 1) < 1e-6
    assert out.read_text().count("\n| ") == len(rows) + 2
