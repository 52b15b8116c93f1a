"""Feature files: read as written, and refused if they do not fit."""

from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mersynth.augment import ORDER
from recognizers.data.feature_files import FeatureFileError, read_features
from recognizers.models.base import InputSpec
from tests.recognizers.data.tiny_features import CLASSES, SIZE, features, write

SPEC = InputSpec("flow_strain", ("u", "v", "strain"), (SIZE, SIZE), range=None)


def test_every_array_is_read(tmp_path: Path) -> None:
    cells = ["4+L7"] + [""] * 29
    unseen = ["samm/00;samm/01"] + [""] * 29
    path = write(
        tmp_path / "f.npz",
        aus=cells,
        unseen=unseen,
        template=["samm/02/a"] + [""] * 29,
        generator=["sha"] + [""] * 29,
    )
    data = read_features(path, {"flow_strain": SPEC})
    assert data.classes == CLASSES
    np.testing.assert_array_equal(data.inputs["flow_strain"], features()["x"])
    assert data.label.tolist() == [0, 1, 2] * 10
    first, second = data.clips[:2]
    assert (first.id, first.emotion) == ("samm/00/clip000", "negative")
    assert (first.template, first.generator) == ("samm/02/a", "sha")
    assert first.unseen == ("samm/00", "samm/01")
    assert (second.is_synthetic, second.template, second.unseen) == (False, None, ())
    assert data.au_set[0, ORDER.index(7)].tolist() == [1.0, 0.0]


def test_what_may_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    absent = dict.fromkeys(("dataset", "clip", "classes", "channels"))
    path = write(tmp_path / "mine.npz", **absent)
    data = read_features(path, {"flow_strain": SPEC})
    assert data.classes == ("0", "1", "2")
    assert [clip.id for clip in data.clips[:2]] == ["mine/00/00000", "mine/00/00001"]
    assert "names no channels; taken as u, v, strain" in caplog.text


def test_texts_are_read_as_those_of_tables(tmp_path: Path) -> None:
    names = np.array([f" {name}\xa0" for name in CLASSES])[features()["y"]]
    subjects = np.repeat([6.0, 7.0, 8.0], 10)
    aus = ["4\uff0b7", "AU4, AU7"] + [""] * 28
    data = read_features(
        write(tmp_path / "f.npz", y=names, subject=subjects, aus=aus), {"flow_strain": SPEC}
    )
    assert [clip.subject for clip in data.clips] == ["6"] * 10 + ["7"] * 10 + ["8"] * 10
    assert data.label.tolist() == features()["y"].tolist()
    shown = data.au_set[:2, [ORDER.index(4), ORDER.index(7)]]
    assert shown.tolist() == [[[1.0, 1.0], [1.0, 1.0]]] * 2


def test_classes_by_name_and_inputs_by_name(tmp_path: Path) -> None:
    names = np.array(CLASSES)[features()["y"]]
    x = features()["x"]
    path = write(tmp_path / "f.npz", y=names, classes=None, x=None, onset=x[:, :1], apex=x[:, 1:])
    specs = {
        "onset": InputSpec("onset", ("red",), (SIZE, SIZE), range=None),
        "apex": InputSpec("apex", ("green", "blue"), (SIZE, SIZE), range=None),
    }
    data = read_features(path, specs)
    assert [data.classes[i] for i in data.label] == names.tolist()
    assert torch.equal(data.inputs["apex"], torch.from_numpy(x[:, 1:]))
    with pytest.raises(FeatureFileError, match=r"reads onset, side: give an array of each"):
        read_features(path, {"onset": specs["onset"], "side": specs["apex"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": None}, r"lacks the array 'subject'; it has x, y"),
        ({"x": None}, r"lacks the array 'x'"),
        ({"subject": ["00"]}, r"subject has the shape \(1,\), y has 30 rows"),
        ({"y": [0, 1, 3] * 10}, r"y must be whole numbers \(int\) in 0\.\.2.*it holds 0, 1, 3 "),
        ({"y": ["negative", "fear", "fear"] * 10}, r"of the classes negative.*'fear'"),
        ({"y": np.arange(30) / 2}, r"y must be whole numbers"),
        ({"classes": ["a", "a", "b"]}, "classes must be 2 or more different names"),
        ({"clip": ["same"] * 30}, r"come more than once: samm/00/same"),
        ({"channels": ["strain", "v", "u"]}, r"x are strain, v, u, the model reads u, v, strain"),
        (
            {"x": np.full((30, 3, SIZE, SIZE), np.nan)},
            "x must be finite, got NaN or infinite values in 30 of 30 clips: rows 0, 1, 2",
        ),
        ({"subject": [""] * 30}, "subject and dataset must name every clip"),
        ({"x": np.zeros((30, 3, 9, 9))}, r"must be .*B, 3, 8, 8.*model.options.image_size"),
        ({"x": np.full((30, 3, SIZE, SIZE), "a")}, "x must hold numbers"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "f.npz", **changes)
    with pytest.raises(FeatureFileError, match=message):
        read_features(path, {"flow_strain": SPEC})


def test_several_files_name_their_databases(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz", dataset=None)
    with pytest.raises(FeatureFileError, match=r"lacks the array 'dataset', which identifies"):
        read_features(path, {"flow_strain": SPEC}, alone=False)


def test_arrays_that_are_not_read_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_features(write(tmp_path / "f.npz", datasets=["a"] * 30), {"flow_strain": SPEC})
    assert "datasets is not read; known are x, y, subject" in caplog.text


def test_a_file_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz")
    head = io.BytesIO()
    claim = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 3, SIZE, SIZE)}
    np.lib.format.write_array_header_1_0(head, claim)
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as torn:
        for name, content in (members | {"x.npy": head.getvalue() + bytes(100)}).items():
            torn.writestr(name, content)
    with pytest.raises(FeatureFileError, match=r"f\.npz is not a readable npz file"):
        read_features(path, {"flow_strain": SPEC})


def test_a_file_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "f.npz")
    read_features(path, {"flow_strain": SPEC})
    monkeypatch.setattr("recognizers.data.feature_files.os.sysconf", lambda name: 20)
    with pytest.raises(FeatureFileError, match=r"unpacks to 0\.0 GB, this machine has 0\.0 GB of"):
        read_features(path, {"flow_strain": SPEC})


def test_more_classes_than_clips_need_names(tmp_path: Path) -> None:
    y = features()["y"] * 10**6
    path = write(tmp_path / "f.npz", y=y, classes=None)
    with pytest.raises(FeatureFileError, match=r"a class 2000000, .* of 2000001, for 30 clips"):
        read_features(path, {"flow_strain": SPEC})
    gaps = read_features(
        write(tmp_path / "g.npz", y=y // 10**5, classes=None), {"flow_strain": SPEC}
    )
    assert len(gaps.classes) == 21


def test_a_missing_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.npz; `mersynth export"):
        read_features(tmp_path / "nothing.npz", {"flow_strain": SPEC})
    path = write(tmp_path / "f.npz")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FeatureFileError, match=r"f\.npz is not a readable npz file"):
        read_features(path, {"flow_strain": SPEC})
    np.savez(path, **{**features(), "y": np.array([object()] * 30)})
    with pytest.raises(FeatureFileError, match="without objects"):
        read_features(path, {"flow_strain": SPEC})
