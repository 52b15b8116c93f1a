"""Maps of motion of one run have one form: that of the clips under test, or the one asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mersynth.config import ConfigError
from mersynth.face.template import AUTO, HEAD, TIGHT, FramingChoice
from mersynth.motion.maps import cut, scaled
from recognizers.data.feature_files import FeatureFileError, read_features, read_form
from recognizers.data.inputs import build_inputs
from recognizers.data.map_form import MapForm, choose_form
from recognizers.models.base import InputSpec
from tests.recognizers.data.tiny_features import SIZE, features, write
from tests.tiny_store import HEADER, tiny_clips, write_tiny_store

SPECS = {"flow_strain": InputSpec("flow_strain", ("u", "v", "strain"), (SIZE, SIZE), range=None)}
STRETCHED = scaled(features()["x"], "minmax")


def read(path: Path, form: MapForm) -> np.ndarray:
    return read_features(path, form.of(SPECS)).inputs["flow_strain"].numpy()


def test_a_file_tells_its_form_or_its_values_do(tmp_path: Path) -> None:
    assert read_form(write(tmp_path / "a.npz"), SPECS) == MapForm("none")
    assert read_form(write(tmp_path / "b.npz", x=STRETCHED), SPECS) == MapForm("minmax")
    tight = list(TIGHT.as_dict().values())
    said = write(tmp_path / "c.npz", x=STRETCHED, scale="none", framing=tight)
    assert read_form(said, SPECS) == MapForm("none", TIGHT)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scale": "zscore"}, "scale must be one of none, minmax, standardise"),
        ({"framing": [0.3, 0.3]}, "framing must be three numbers"),
        ({"framing": [0.3, 5.0, 1.0]}, "framing.apart must lie in"),
    ],
)
def test_an_impossible_form_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    path = write(tmp_path / "a.npz", **changes)
    with pytest.raises(FeatureFileError, match=rf"a\.npz: .*{told}"):
        read_form(path, SPECS)


def test_files_are_brought_to_a_scale_or_refused(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.npz")
    stretched = write(tmp_path / "stretched.npz", x=STRETCHED)
    np.testing.assert_array_equal(read(plain, MapForm("none")), features()["x"])
    np.testing.assert_array_equal(read(plain, MapForm("minmax")), STRETCHED)
    expected = scaled(STRETCHED, "standardise")
    np.testing.assert_array_equal(read(stretched, MapForm("standardise")), expected)
    told = (
        r"stretched\.npz: .*lengths in pixels are lost; wanted is none\. `mersynth export --layout "
        "npz scale=none` of its store makes it anew, or bring all clips .*: scale=minmax"
    )
    with pytest.raises(FeatureFileError, match=told):
        read(stretched, MapForm("none"))


def test_a_file_framed_otherwise_is_refused(tmp_path: Path) -> None:
    head = write(tmp_path / "head.npz", framing=list(HEAD.as_dict().values()))
    np.testing.assert_array_equal(read(head, MapForm("none", HEAD)), features()["x"])
    told = (
        "framed head .*wanted is tight .*`mersynth export --layout npz scale=minmax framing=tight`"
    )
    with pytest.raises(FeatureFileError, match=told):
        read(head, MapForm("minmax", TIGHT))


def test_the_form_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert choose_form(SPECS, [], None, AUTO) == MapForm("none")
    assert choose_form(SPECS, [MapForm("none")], None, AUTO) == MapForm("none")
    assert not caplog.text
    assert choose_form(SPECS, [MapForm("minmax")], None, AUTO) == MapForm("minmax", TIGHT)
    assert "do not tell their framing: taken as tight" in caplog.text
    told = [MapForm("minmax", HEAD)]
    assert choose_form(SPECS, told, None, AUTO) == MapForm("minmax", HEAD)
    assert choose_form(SPECS, told, "standardise", FramingChoice("tight")) == MapForm(
        "standardise", TIGHT
    )
    pictures = {"apex": InputSpec("apex", ("red", "green", "blue"), (8, 8))}
    assert choose_form(pictures, [], None, AUTO) is None
    with pytest.raises(ConfigError, match="for systems that read maps of motion alone"):
        choose_form(pictures, [], "minmax", AUTO)
    with pytest.raises(ConfigError, match="scale must be one of"):
        choose_form(SPECS, [], "range", AUTO)  # type: ignore[arg-type]


def test_maps_of_stores_are_cut_and_scaled(tmp_path: Path) -> None:
    header = {**HEADER, "framing": HEAD.as_dict()}
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1), header=header)  # type: ignore[arg-type]
    side = store.image_size
    whole = {"x": InputSpec("flow", ("u", "v"), (side, side), range=None)}
    maps = build_inputs(store, whole, "three").inputs["x"].numpy()
    part = cut(maps, HEAD, TIGHT)
    spec = {"x": InputSpec("flow", ("u", "v"), part.shape[2:], range=None)}
    found = build_inputs(store, MapForm("minmax", TIGHT).of(spec), "three").inputs["x"].numpy()
    np.testing.assert_allclose(found, scaled(part, "minmax"), atol=1e-5)
