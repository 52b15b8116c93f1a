"""Spellings of one name: which look alike, where they occur, and what joining them does."""

from __future__ import annotations

import csv
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from mersynth.clips import Clip
from mersynth.export import export
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import CheckpointCard, CheckpointError, load_card, save_generator
from mersynth.gan.train import train
from mersynth.prepare.command import prepare
from mersynth.quality import measure_quality
from mersynth.store.clip_store import ClipStore
from mersynth.store.loading import load_clips
from mersynth.store.names import (
    Named,
    NamesError,
    clip_key,
    dataset_key,
    find_alike,
    person_key,
    reconcile,
)
from mersynth.synthesis.generate import generate
from mersynth.synthesis.inputs import find_generators, reconcile_names
from tests.tiny_store import tiny_clips, write_tiny_store


def clip(person: str, name: str = "c", **provenance: object) -> Clip:
    source, subject = person.split("/")
    frames = {"onset": 0, "apex": 0, "offset": 0, "emotion": "other"}
    return Clip(source=source, subject=subject, name=name, **frames, **provenance)


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        (person_key, ["006", "6", "6.0", " 6", "006\xa0", "sub06", "sub-6", "Subject 006", "S6"]),
        (person_key, ["p007", "7", "P_7", "participant7", "spNO.7", "spNO.07"]),
        (person_key, ["Ada", "ada ", "ADA"]),
        (person_key, ["ada_01", "ada-1", "ada 1"]),
        (dataset_key, ["CASME2", "casme2", "CASME-2", "casme_2", "CASME II", "CasmeII"]),
        (clip_key, ["EP02_01f", "EP02_1F", " ep02-01f"]),
        (clip_key, ["1", "01", "1.0"]),
    ],
)
def test_spellings_of_one_name(key: Callable[[str], str], spellings: list[str]) -> None:
    assert len({key(name) for name in spellings}) == 1


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (person_key, ["006", "060", "600", "6.5", "16", "sub6a", "sam6", "0", "1-1", "11"]),
        (person_key, ["train-103-29a3", "train-103-29a30", "val-0", "val-1"]),
        (dataset_key, ["casme", "casme2", "CASME3", "CAS(ME)2", "smic", "smic-hs", "samm"]),
        (clip_key, ["EP02_01", "EP02_01f", "EP02_10", "EP20_01", "clip_0.5", "clip_0.05"]),
        (clip_key, ["006_1_2", "006_12", "a_355", "depth-a_355", "macro-a_355"]),
    ],
)
def test_names_of_different_ones(key: Callable[[str], str], names: list[str]) -> None:
    assert len({key(name) for name in names}) == len(names)


def test_each_spelling_is_reported_with_its_place() -> None:
    real = Named("real", [clip("samm/006"), clip("samm/007"), clip("smic/6")])
    made = clip("samm/8", template="samm/7/x", generator="g", unseen=("samm/6", "samm/9"))
    with pytest.raises(NamesError) as caught:
        reconcile([real, Named("made", [made]), Named("checkpoint", people=["samm/8", "samm/08"])])
    assert [str(each) for each in caught.value.alike] == [
        "people of samm: '006' (real), '6' (made, unseen)",
        "people of samm: '007' (real), '7' (made, template)",
        "people of samm: '8' (made, checkpoint), '08' (checkpoint)",
    ]
    for each in caught.value.alike:
        assert str(each) in str(caught.value)
    assert "--same-person" in str(caught.value)
    assert "--distinct" in str(caught.value)


def test_data_sets_and_clips_are_compared_too() -> None:
    found = find_alike(
        [
            Named("a", [clip("CASME2/sub01", "EP02_01f"), clip("CASME2/sub02", "EP02_01f")]),
            Named("b", [clip("casme2/sub01", "EP02_1f"), clip("casme2/sub02", "EP02_01")]),
        ]
    )
    assert [str(each) for each in found] == [
        "data sets: 'CASME2' (a), 'casme2' (b)",
        "clips of CASME2/sub01: 'EP02_01f' (a), 'EP02_1f' (b)",
    ]


def test_same_joins_every_name_under_the_first_spelling() -> None:
    real = [clip("CASME2/006", "1_01")]
    made = clip(
        "casme2/6", "s", template="casme2/6/1_1", generator="g", unseen=("casme2/7", "casme2/6")
    )
    mixed = [clip("casme2/06", "1_1"), clip("casme2/9", "x"), made]
    spelling = reconcile([Named("a", real), Named("b", mixed)], "same")
    assert spelling.clips(real) == tuple(real)
    joined = spelling.clips(mixed)
    assert [each.id for each in joined] == ["CASME2/006/1_01", "CASME2/9/x", "CASME2/006/s"]
    assert joined[2].template == "CASME2/006/1_01"
    assert spelling.people(["casme2/6", "CASME2/006", "smic/6"]) == ("CASME2/006", "smic/6")
    apart = reconcile([Named("a", real), Named("b", mixed)], "distinct")
    assert apart.clips(mixed) == tuple(mixed)
    assert apart.alike == spelling.alike


def test_a_generator_that_saw_the_other_spelling_has_seen_the_person() -> None:
    """In a store with both spellings, only one was hidden from each generator."""
    half = [
        clip("samm/2", "a", generator="g0", unseen=("samm/1", "samm/3")),
        clip("samm/2", "b", generator="g1", unseen=("samm/01",)),
    ]
    whole = [clip("samm/2", "c", generator="g", unseen=("samm/1", "samm/3"))]
    spelling = reconcile([Named(n, c) for n, c in (("half", half), ("whole", whole))], "same")
    assert [each.unseen for each in spelling.clips(half)] == [("samm/3",), ()]
    assert [each.unseen for each in spelling.clips(whole)] == [("samm/1", "samm/3")]


def test_two_clips_that_become_one_are_named() -> None:
    clips = [clip("samm/1", "c"), clip("samm/01", "c")]
    spelling = reconcile([Named("a", clips)], "same")
    with pytest.raises(NamesError, match="samm/1/c and samm/01/c are one clip once their names"):
        spelling.clips(clips)


def test_published_habits_are_warned(caplog: pytest.LogCaptureFixture) -> None:
    clips = [clip("samm/1"), clip("samm/01")]
    spelling = reconcile([Named("a", clips)], strict=False)
    assert spelling.clips(clips) == tuple(clips)
    assert "people of samm: '1' (a), '01' (a)" in caplog.text
    with pytest.raises(
        ValueError, match=r"names must be one of same, distinct, null \(None in Python\), got 'one'"
    ):
        reconcile([Named("a", clips)], "one")  # type: ignore[arg-type]


def _real_tables(annotations: Path) -> dict[str, list[Clip]]:
    with (annotations / "combined_3_class_gt.csv").open() as file:
        rows = [(f"{r['data']}/{r['subject']}", r["clip"]) for r in csv.DictReader(file)]
    tables = {"composite": [clip(*row) for row in rows]}
    for file, sheet, first, form in (
        ("CASME2-coding-20140508.xlsx", "Sheet1", 2, "casme2/sub{}"),
        ("SAMM_Micro_FACS_Codes_v2.xlsx", "MICRO_ONLY", 15, "samm/{}"),
        ("SMIC-HS-E_annotation.xlsx", "HS", 2, "smic/s{:02}"),
    ):
        book = openpyxl.load_workbook(annotations / file, read_only=True)
        cells = book[sheet].iter_rows(first, max_col=2, values_only=True)
        tables[form[:4]] = [clip(form.format(s), name) for s, name in cells if s and name]
    return tables


def test_no_real_table_alone_raises_an_alarm(annotations: Path) -> None:
    tables = _real_tables(annotations)
    assert [len(clips) for clips in tables.values()] == [442, 255, 159, 157]
    for name, clips in tables.items():
        assert find_alike([Named(name, clips)]) == ()


def test_the_composite_writes_the_people_of_samm_without_their_zeros(annotations: Path) -> None:
    """The published table has 6 and ``s01_ne_01``, the databases' own 006 and ``s1_ne_01``."""
    found = find_alike([Named(name, clips) for name, clips in _real_tables(annotations).items()])
    people = [each for each in found if each.kind == "people"]
    assert len(people) == 28  # all of SAMM's in the challenge, and nobody of the others
    assert all(each.of == "samm" for each in people)
    assert all(other == name.zfill(3) for name, other in (tuple(p.spellings) for p in people))
    clips = [each for each in found if each.kind == "clips"]
    assert {each.of for each in clips} == {f"smic/s0{i}" for i in (1, 2, 3, 4, 5, 6, 8, 9)}
    for one, other in (tuple(each.spellings) for each in clips):
        assert one == f"s0{other.removeprefix('s')}"
    assert len(found) == len(people) + len(clips)


def test_a_large_run_costs_nothing() -> None:
    """442 clips of 68 people, and 20 times as many whose generators never saw 14 of them."""
    people = [f"{data}/{i:03}" for data, n in (("a", 24), ("b", 16), ("c", 28)) for i in range(n)]
    real = [clip(people[i % 68], f"clip_{i}") for i in range(442)]
    made = [
        clip(people[i % 68], f"s_{i}", template=real[i % 400].id, generator="g",
             unseen=tuple(people[i % 5 :: 5]))
        for i in range(8840)
    ]  # fmt: skip
    start = time.perf_counter()
    assert find_alike([Named("real", real), Named("made", made)]) == ()
    assert time.perf_counter() - start < 1  # 0.03 s on an idle core


def doubled(path: Path) -> ClipStore:
    """A store of four people, one of whom is spelled in two ways."""
    clips = tiny_clips(subjects=3)
    others = [clip for clip in tiny_clips(subjects=4) if clip.subject == "003"]
    renamed = [
        Clip(**{f: getattr(c, f) for f in c.__slots__} | {"subject": "2", "name": f"{c.name}_b"})
        for c in others
    ]
    return write_tiny_store(path, [*clips, *renamed], measured=True)


WARP = {"per_class": 1, "generator": "warp", "overrides": ["num_frames=4", "device=cpu"]}
REFUSED = "people of samm: '002' \\(.*d\\), '2' \\(.*d\\)"


@pytest.fixture(name="store", scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return doubled(tmp_path_factory.mktemp("names") / "d")


def test_generation_refuses_and_joins(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(NamesError, match=REFUSED):
        generate(store=store.path, out=tmp_path / "s", **WARP)
    generate(store=store.path, dry_run=True, names="distinct", **WARP)
    assert not list(tmp_path.iterdir())
    made = generate(store=store.path, out=tmp_path / "s", names="same", **WARP)
    assert {each.unseen for each in made.clips} == {("samm/000", "samm/001", "samm/002")}
    assert made.meta["header"]["names"] == "same"
    people: Sequence[str] = [each.template.rpartition("/")[0] for each in made.clips]
    assert all(p != each.subject_id for p, each in zip(people, made.clips, strict=True))


def test_source_faces_are_reconciled_with_the_store(store: ClipStore, tmp_path: Path) -> None:
    real = write_tiny_store(tmp_path / "real", tiny_clips(subjects=3), measured=True)
    with pytest.raises(NamesError, match=r"'002' \(.*real, .*d\), '2' \(.*d\)"):
        generate(store=real.path, faces=store.path, out=tmp_path / "s", **WARP)


def test_training_knows_a_person_under_all_spellings(store: ClipStore, tmp_path: Path) -> None:
    quick = ["gan=tiny", "batch_size=2", "critic_steps=1", "au_reading_steps=0", "steps=1"]
    ask = {"store_path": store.path, "overrides": [*quick, "device=cpu"]}
    with pytest.raises(NamesError, match=REFUSED):
        train(out=tmp_path / "g", subject_groups=2, **ask)
    assert not list(tmp_path.iterdir())
    train(out=tmp_path / "g", names="same", **ask)
    assert load_card(tmp_path / "g").training_subjects == ("samm/000", "samm/001", "samm/002")
    with pytest.raises(CheckpointError, match="names was 'same', is 'distinct'"):
        train(out=tmp_path / "g", names="distinct", resume=True, **ask)


def test_a_generator_that_saw_a_person_under_another_name_has_seen_them(
    store: ClipStore, tmp_path: Path
) -> None:
    """The checkpoint was trained on people who had lost their zeros."""
    card = CheckpointCard(
        image_size=32, aus=CONDITION_AUS, generator={"num_aus": 20}, groups=1, seed=0, step=1,
        training_subjects=("samm/0", "samm/1"), unseen_subjects=("samm/2",), config={},
    )  # fmt: skip
    save_generator(tmp_path / "g", {}, card)
    real = write_tiny_store(tmp_path / "real", tiny_clips(subjects=3))
    ask = {"store": real.path, "checkpoint": tmp_path / "g", "per_class": 2, "dry_run": True}
    with pytest.raises(NamesError, match=r"'000' \(.*real\), '0' \(.*g\)"):
        generate(**ask)
    generators = find_generators("icgan", tmp_path / "g", real.path, None)
    reconcile_names("same", [(real.path, real.clips)], generators)
    assert generators[0].training_subjects == ("samm/000", "samm/001")
    assert generators[0].unseen_subjects == ("samm/002",)
    generate(names="same", **ask)


def test_export_quality_and_loading_join(
    store: ClipStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copied = Path(shutil.copytree(store.path, tmp_path / "copied"))
    with pytest.raises(NamesError, match=REFUSED):
        export(store.path, "npz", tmp_path / "x.npz")
    with pytest.raises(NamesError, match=REFUSED):
        measure_quality(real=store.path, synthetic=copied, out=tmp_path / "q")
    assert list(tmp_path.iterdir()) == [copied]
    export(store.path, "npz", tmp_path / "x.npz", features="onset", size=8, names="same")
    with np.load(tmp_path / "x.npz") as arrays:
        assert set(arrays["subject"].tolist()) == {"000", "001", "002"}
    caplog.set_level(logging.WARNING)
    table, _ = load_clips(store.path)
    assert "people of samm: '002'" in caplog.text
    assert table["subject_id"].nunique() == 4
    table, data = load_clips(store.path, names="same")
    assert table["subject_id"].nunique() == 3
    assert data.subjects == ("samm/000", "samm/001", "samm/002")


def test_preparing_reports_look_alikes(tmp_path: Path) -> None:
    from PIL import Image

    root = tmp_path / "folder"
    root.mkdir()
    for name in ("Ada.png", "ada .png"):
        Image.new("RGB", (40, 40), "grey").save(root / name)
    store = prepare("folder", root, tmp_path / "s", image_size=16, geometry="crop")
    told = store.meta["header"]["warnings"][0]
    assert "look alike: people of folder: 'Ada' (folder), 'ada ' (folder)" in told["reason"]
