"""The layout meb: its data frame, and MEB's own validators on it."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mersynth.clips import Clip
from mersynth.export import ExportError, export
from mersynth.store.clip_store import ClipStore
from tests.export.export_stores import (
    REAL_CASME2,
    REAL_SAMM,
    read_provenance,
    synthetic,
    write_store,
)


def clip(source: str, subject: str, number: int, emotion: str, aus: str) -> Clip:
    return Clip(
        source=source, subject=subject, name=f"{number}", onset=10 * number,
        apex=10 * number + 2, offset=10 * number + 5, emotion=emotion, aus=aus,
    )  # fmt: skip


# Neither people nor databases follow each other, and two databases have a person 01.
MIXED = [
    clip(source, subject, number, *((("happiness", "12"), ("disgust", "4+L10"))[number % 2]))
    for number in range(1, 9)
    for source, subject in (("samm", "01"), ("casme2", "01"), ("samm", "02"))
]


def read(out: Path) -> pd.DataFrame:
    """As the docstring says."""
    return pd.read_csv(out / "data_frame.csv", dtype={"material": str})


def test_the_data_frame(tmp_path: Path) -> None:
    clips = [*REAL_SAMM, *REAL_CASME2[:2], replace(REAL_SAMM[0], name="none", aus="")]
    store = write_store(tmp_path / "s", clips, side=64)
    out = export(store.path, "meb", tmp_path / "out", size=16)
    table = read(out)
    assert list(table["dataset"]) == ["casme2"] * 2 + ["samm"] * 4
    assert list(table["material"]) == [
        *("EP02_01f", "EP19_05f", "006_1_2", "006_1_3", "none", "007_6_1")
    ]
    row = table.set_index("material").loc["EP19_05f"]
    assert (row.subject, row.emotion, row.AU) == ("casme2/sub26", "disgust", "4+L10")
    assert (row.onset, row.apex, row.apexf, row.offset, row.n_frames) == (396, 398, 2, 399, 4)
    aus = [name for name in table.columns if name.startswith("AU") and name != "AU"]
    assert aus == [f"AU{au}" for au in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)]
    assert {name for name in aus if row[name]} == {"AU4", "AU10"}
    known = table.set_index("material")[aus]
    assert known.loc["none"].isna().all()  # no annotation is no absence
    # "(R6 or R12)+R15A": neither alternative is certain.
    assert {name for name in aus if known.loc["007_6_1", name]} == {"AU15"}
    by_id = {item.clip.id: item for item in store}
    for _, row in table.iterrows():
        item = by_id[f"{row.subject}/{row.material}"]
        files = sorted((out / row.path).iterdir())
        assert [int(file.stem[-5:]) for file in files] == list(range(row.onset, row.offset + 1))
        shown = np.stack([np.asarray(Image.open(file)) for file in files]).astype(int)
        assert np.abs(shown - item.frames).mean() < 1
    assert [line["path"] for line in read_provenance(out)][3] == "frames/casme2_sub01_EP02_01f"


def test_the_flow_follows_the_table(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", MIXED, side=64)
    out = export(store.path, "meb", tmp_path / "out", size=16)
    npz = export(store.path, "npz", tmp_path / "x.npz", size=16)
    flow, table = np.load(out / "optical_flow.npy"), read(out)
    with np.load(npz) as arrays:
        rows = {
            f"{source}/{subject}/{name}": x
            for source, subject, name, x in zip(
                arrays["dataset"], arrays["subject"], arrays["clip"], arrays["x"], strict=True
            )
        }
    for row, (subject, material) in enumerate(zip(table.subject, table.material, strict=True)):
        np.testing.assert_array_equal(flow[row], rows[f"{subject}/{material}"])
    # MEB pools fold by fold, which agrees with its labels only for rows that follow each other.
    for column in ("subject", "dataset"):
        changes = (table[column] != table[column].shift()).sum()
        assert changes == table[column].nunique(), column
    assert table.subject.nunique() == 3


def test_what_does_not_fit_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = write_store(tmp_path / "s", REAL_CASME2, side=64)
    with pytest.raises(ExportError, match=r"casme2/sub26/EP01_11f: it has no apex"):
        export(store.path, "meb", tmp_path / "out")
    with pytest.raises(ExportError, match="PNG files as black; use format=jpg, or format=bmp"):
        export(store.path, "meb", tmp_path / "out", skip_bad=True, overrides=["format=png"])
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert "may include tested people" not in caplog.text
    made = write_store(tmp_path / "made", [synthetic(REAL_SAMM[0], 1)], side=64)
    out = export(made.path, "meb", tmp_path / "out", overrides=["format=bmp"])
    assert "may include tested people" in caplog.text
    row = read(out).iloc[0]
    assert (row.synthetic, row.template, row.generator) == (True, "samm/020/020_1_1", "ab" * 32)
    np.testing.assert_array_equal(
        np.asarray(Image.open(out / row.path / "img00002.bmp")), made[0].frames[2]
    )


class FirstPixels(torch.nn.Module):
    """Reads the labels off the input's first pixels, so that figures have known values."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, : self.outputs] + 0 * self.unused


@pytest.fixture(name="meb")
def _meb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """MEB; it needs `pip install --no-deps` of github.com/tvaranka/meb and what it imports."""
    import torchvision.transforms.functional as functional

    # Under this name pytorchvideo, which MEB imports, looks for it; torchvision 0.17 removed it.
    name = "torchvision.transforms.functional_tensor"
    monkeypatch.setitem(sys.modules, name, functional)
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("meb.core", reason="MEB (github.com/tvaranka/meb) is not installed")


def configured(core: ModuleType, outputs: int, **values: Any) -> type:
    model = partial(FirstPixels, outputs)
    return type("Chosen", (core.Config,), {"model": model, "epochs": 1, "num_workers": 0, **values})


@pytest.mark.slow
def test_mebs_validators_find_a_perfect_recognizer_perfect(
    meb: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With rows in another order they would not: they pool by fold and compare by row."""
    from meb import utils
    from meb.utils.metrics import MultiClassCELoss

    store = write_store(tmp_path / "s", MIXED, side=64)
    out = export(store.path, "meb", tmp_path / "out", size=16)
    table, data = read(out), np.load(out / "optical_flow.npy")
    assert data.shape == (len(MIXED), 3, 16, 16)

    def final() -> float:
        return float(capsys.readouterr().out.rpartition("Mean:")[2].split()[0])

    aus = ["AU4", "AU10", "AU12"]
    known = data.reshape(len(data), -1).copy()
    known[:, :3] = 2 * table[aus].to_numpy() - 1
    known = known.reshape(data.shape)
    for validator in (meb.CrossDatasetValidator, meb.IndividualDatasetAUValidator):
        config = configured(meb, 3, action_units=aus)
        outputs = validator(config).validate(table, known)
        assert len(outputs) == table[validator(config).split_column].nunique()
        assert final() == 100
        shuffled = np.random.default_rng(0).permutation(len(table))
        validator(config).validate(table.iloc[shuffled].reset_index(drop=True), known[shuffled])
        assert final() < 95
    classes, _ = pd.factorize(table["emotion"])
    known = data.reshape(len(data), -1).copy()
    known[:, :2] = np.eye(2)[classes]
    config = configured(
        meb,
        2,
        action_units=["emotion"],
        criterion=MultiClassCELoss,
        evaluation_fn=partial(utils.MultiClassF1Score, average="macro"),
    )
    meb.IndividualDatasetEmotionValidator(config).validate(table, known.reshape(data.shape))
    assert final() == 100


@pytest.mark.slow
@pytest.mark.parametrize("form", ["jpg", "bmp"])
def test_meb_reads_the_frames(meb: ModuleType, tmp_path: Path, form: str, capsys: Any) -> None:
    from meb.datasets import dataset_utils

    store: ClipStore = write_store(tmp_path / "s", MIXED, side=64)
    out = export(store.path, "meb", tmp_path / "out", overrides=[f"format={form}"])
    table = read(out)
    files = [[str(file) for file in sorted((out / path).iterdir())] for path in table["path"]]
    data = dataset_utils.LazyDataLoader(files, color=True)
    capsys.readouterr()
    dataset_utils.validate_dataset(table, data)
    assert capsys.readouterr().out == ""  # where it prints what does not agree
    by_id = {item.clip.id: item for item in store}
    for i, row in table.iterrows():
        frames = by_id[f"{row.subject}/{row.material}"].frames
        assert np.abs(data[i].astype(int) - frames).mean() <= (0 if form == "bmp" else 1)
