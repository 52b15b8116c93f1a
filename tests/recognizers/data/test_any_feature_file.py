"""Feature files: whole ones are read as written, a changed byte is refused or changes nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from recognizers.data.feature_files import FeatureFileError, read_features
from recognizers.data.inputs import ModelData
from recognizers.models.base import InputSpec
from tests.recognizers.data import tiny_features

SPECS = {"x": InputSpec("flow_strain", ("u", "v", "strain"), (2, 2), range=None)}
WORDS = st.from_regex(r"[a-zäß][a-z0-9_.-]{0,4}", fullmatch=True)


def read(content: bytes, **options: Any) -> ModelData:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.npz"
        path.write_bytes(content)
        return read_features(path, SPECS, **options)


def packed(arrays: dict[str, np.ndarray], compressed: bool) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path.read_bytes()


PEOPLE = st.tuples(WORDS, WORDS).map("/".join)
CLIPS = st.tuples(PEOPLE, WORDS).map("/".join)


@st.composite
def feature_files(draw: st.DrawFn) -> dict[str, np.ndarray]:
    count = draw(st.integers(1, 5))
    classes = draw(st.lists(WORDS, min_size=2, max_size=4, unique=True))
    y = draw(st.lists(st.integers(0, len(classes) - 1), min_size=count, max_size=count))
    texts = {
        "subject": draw(st.lists(WORDS, min_size=count, max_size=count)),
        "dataset": draw(st.lists(WORDS, min_size=count, max_size=count)),
        "clip": draw(st.lists(WORDS, min_size=count, max_size=count, unique=True)),
        "template": draw(st.lists(CLIPS | st.just(""), min_size=count, max_size=count)),
        "unseen": draw(
            st.lists(st.lists(PEOPLE, max_size=3).map(";".join), min_size=count, max_size=count)
        ),
    }
    kind = draw(st.sampled_from([np.float32, np.float64, np.int16, np.uint8]))
    x = np.random.default_rng(count).integers(0, 99, (count, 3, 2, 2)).astype(kind)
    channels = np.array(["u", "v", "strain"])
    return {"x": x, "y": np.array(y), "classes": np.array(classes), "channels": channels} | {
        name: np.array(values) for name, values in texts.items()
    }


@given(feature_files(), st.booleans(), st.booleans())
def test_what_is_written_is_read(
    arrays: dict[str, np.ndarray], compressed: bool, named: bool
) -> None:
    classes = arrays["classes"].tolist()
    written = arrays | ({"y": arrays["classes"][arrays["y"]]} if named else {})
    data = read(packed(written, compressed), first_label=0)
    np.testing.assert_array_equal(data.inputs["x"], arrays["x"].astype(np.float32))
    assert data.inputs["x"].dtype == torch.float32
    assert data.label.tolist() == arrays["y"].tolist()
    assert list(data.classes) == classes
    for i, clip in enumerate(data.clips):
        told = (clip.source, clip.subject, clip.name, clip.template or "", ";".join(clip.unseen))
        names = ("dataset", "subject", "clip", "template", "unseen")
        assert told == tuple(arrays[name][i] for name in names)
        assert clip.emotion == classes[arrays["y"][i]]


@cache
def whole(compressed: bool) -> bytes:
    """A feature file that holds every array."""
    people = tiny_features.features(people=2, each=3)
    x = people["x"][..., :2, :2]
    provenance = {
        name: np.array([text] * 5 + [""])
        for name, text in (("aus", "4+7"), ("template", "samm/00/a"), ("generator", "sha"))
    }
    unseen = np.array(["samm/00;samm/01"] * 6)
    return packed(people | provenance | {"x": x, "unseen": unseen}, compressed)


@given(st.booleans(), st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(
    compressed: bool, data: st.DataObject
) -> None:
    content = bytearray(whole(compressed))
    # The table of contents at the end is a tenth of the file, and has most of what can break.
    last = len(content) - 1
    places = st.integers(0, last) | st.integers(last * 9 // 10, last)
    content[data.draw(places, label="place")] ^= data.draw(st.integers(1, 255), label="bits")
    assert_refused_or_same(bytes(content), whole(compressed))


@given(st.booleans(), st.data())
def test_a_file_cut_short_is_refused(compressed: bool, data: st.DataObject) -> None:
    content = whole(compressed)
    end = data.draw(st.integers(0, len(content) - 1), label="length")
    assert_refused_or_same(content[:end], content)


def assert_refused_or_same(content: bytes, wanted: bytes) -> None:
    try:
        data = read(content)
    except FeatureFileError:
        return
    expected = read(wanted)
    assert data.clips == expected.clips
    assert data.classes == expected.classes
    for got, true in ((data.label, expected.label), (data.au_set, expected.au_set)):
        assert torch.equal(got, true)
    assert torch.equal(data.inputs["x"], expected.inputs["x"])
