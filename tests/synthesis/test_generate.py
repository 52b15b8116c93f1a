"""Generation: provenance, same bytes from the same seed, resuming, and what is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mersynth.config import ConfigError
from mersynth.disk.lock import InUseError
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.gan.checkpoint import SHIPPED, CheckpointError, load_card, load_generator
from mersynth.phantom.population import clip_specs, render_clip, write_store
from mersynth.prepare.command import prepare
from mersynth.sources.composite import make_composite
from mersynth.store.clip_store import ClipStore, StoredClip, StoreError
from mersynth.store.dataset import ClipDataset
from mersynth.synthesis.generate import generate
from mersynth.synthesis.generators import IcganGenerator
from tests.tiny_store import tiny_clips, write_tiny_store

OVERRIDES = ["num_frames=4", "batch_clips=2", "device=cpu"]


def run(place: Path, out: Path, checkpoint: str = "one", **changes: object) -> ClipStore:
    settings = {"per_class": 3, "store": place / "samm", "checkpoint": place / checkpoint}
    store = generate(**(settings | {"out": out, "overrides": OVERRIDES} | changes))
    assert store is not None
    return store


def test_a_clip_begins_with_the_face_as_it_is(place: Path, tmp_path: Path) -> None:
    """Even if the generator repaints a face at rest; this one was trained for one step."""
    real = ClipStore.open(place / "samm")
    onsets: dict[str, list[np.ndarray]] = {}
    for item in real:
        onsets.setdefault(item.clip.subject_id, []).append(item.frames[0])
    for item in run(place, tmp_path / "s", overrides=[*OVERRIDES, "head_motion=false"]):
        worn = onsets[item.clip.subject_id]
        assert any(np.array_equal(item.frames[0], onset) for onset in worn)
        assert not np.array_equal(item.frames[0], item.frames[2])


def test_store_is_balanced_and_records_its_provenance(place: Path, tmp_path: Path) -> None:
    store = run(place, tmp_path / "s", seed=5)
    real = ClipStore.open(place / "samm")
    card = load_card(place / "one")
    counts = Counter(clip.emotion for clip in store.clips)
    assert set(counts.values()) == {3}
    assert len(counts) == 5
    for item in store:
        clip = item.clip
        assert clip.is_synthetic
        assert clip.generator == card.sha256
        assert clip.template
        assert clip.template.rsplit("/", 1)[0] != clip.subject_id
        assert clip.unseen == ()
        assert len(item.frames) == 4
        assert 0 < item.intensities.max() <= 1
        numbers = parse_au_cell(clip.aus).numbers
        asked = item.intensities[:, [CONDITION_AUS.index(number) for number in numbers]]
        assert clip.apex_index == (asked - asked[:1]).sum(axis=(1, 2)).argmax()
    header = ClipStore.open(store.path, verify=True).meta["header"]
    assert header["seed"] == 5
    assert header["scheme"] == "five"
    assert header["real_store"]["checksum"] == real.checksum
    assert header["real_store"]["header"]["licence"] == "none"
    assert header["generators"][0]["sha256"] == card.sha256
    assert header["generators"][0]["training_subjects"] == list(card.training_subjects)


def test_a_clip_begins_with_the_landmarks_of_its_face(place: Path, tmp_path: Path) -> None:
    counts = {"anger": 3, "happiness": 3, "surprise": 3, "contempt": 3, "other": 3}
    real = write_store(
        tmp_path / "real", image_size=32, subjects=3, counts=counts, fps=20, max_frames=4
    )
    at_rest: dict[str, list[np.ndarray]] = {}
    for face in real:
        at_rest.setdefault(face.clip.subject_id, []).append(face.landmarks[0])
    for item in run(place, tmp_path / "s", store=real.path, per_class=3):
        own = at_rest[item.clip.subject_id]
        assert any(np.array_equal(item.landmarks[0], landmarks) for landmarks in own)
        assert np.isnan(item.landmarks[1:]).all()  # the generator does not tell where they went
    unknown = run(place, tmp_path / "t", per_class=1)
    assert np.isnan(unknown.landmarks).all()


def test_terms_of_every_database_follow_into_the_synthetic_store(
    place: Path, tmp_path: Path
) -> None:
    subjects = {"casme2": "sub01", "smic": "s01", "samm": "006"}
    labels = {"casme2": "happiness", "smic": "surprise", "samm": "anger"}
    for source, subject in subjects.items():
        clips = [
            replace(
                clip,
                source=source,
                subject=f"{subject[:-1]}{i}",
                name=f"s0{i}_sur_01",
                emotion=labels[source],
            )
            for i, clip in enumerate(tiny_clips(subjects=1)[:3])
        ]
        header = {"source": source, "licence": f"terms of {source}", "citation": f"on {source}"}
        write_tiny_store(tmp_path / "stores" / source, clips, measured=True, header=header)
    real = make_composite(tmp_path / "stores", tmp_path / "real", skip_bad=True)
    store = run(place, tmp_path / "s", store=real.path, classes="three", per_class=2)
    assert {clip.source for clip in store.clips} <= subjects.keys()
    assert Counter(c.emotion for c in store.clips) == {"negative": 2, "positive": 2, "surprise": 2}
    made = store.meta["header"]
    assert made["source"] == "composite"
    for source in subjects:
        assert f"terms of {source}" in made["licence"]
        assert f"on {source}" in made["citation"]
    parts = made["real_store"]["header"]["parts"]
    assert [part["header"]["licence"] for part in parts] == [f"terms of {s}" for s in subjects]


def test_frames_are_what_the_generator_makes_of_face_and_curve(place: Path, tmp_path: Path) -> None:
    still = ["head_motion=false", "camera_noise=false"]
    store = run(place, tmp_path / "s", overrides=[*OVERRIDES, *still])
    generator, _ = load_generator(place / "one")
    item = store[3]
    real = ClipStore.open(place / "samm").filter(lambda c: c.subject == item.clip.subject)
    curve = torch.from_numpy(np.array(item.intensities))
    candidates = []
    for face in real:
        image = torch.from_numpy(np.array(face.frames[0])).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            out = generator(image.expand(len(curve), -1, -1, -1), curve).image
        # What it repaints of the face at rest is taken out.
        made = ((image + out - out[:1]).clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
        candidates.append(np.abs(made - item.frames).max())
    assert min(candidates) <= 1


def test_same_seed_same_bytes(place: Path, tmp_path: Path) -> None:
    checksums = [
        run(place, tmp_path / str(i), seed=seed).checksum for i, seed in enumerate((1, 1, 2))
    ]
    assert checksums[0] == checksums[1] != checksums[2]


def test_a_set_for_each_subject_group(place: Path, tmp_path: Path) -> None:
    store = run(place, tmp_path / "s", checkpoint="two")
    cards = {load_card(place / "two" / g).sha256: g for g in ("group_0", "group_1")}
    assert len(cards) == 2
    assert set(Counter((c.generator, c.emotion) for c in store.clips).values()) == {3}
    for clip in store.clips:
        card = load_card(place / "two" / cards[clip.generator])
        assert clip.unseen == card.unseen_subjects
        assert clip.subject_id not in clip.unseen
        assert clip.template is None or clip.template.rsplit("/", 1)[0] not in clip.unseen


def test_new_faces_follow_the_curves_of_the_store(place: Path, tmp_path: Path) -> None:
    photo = tmp_path / "anna.png"
    Image.effect_noise((40, 40), 60).save(photo)
    side = ClipStore.open(place / "samm").image_size
    faces = prepare(
        "folder", out=tmp_path / "faces", images=[photo], image_size=side, geometry="resize"
    )
    store = run(place, tmp_path / "s", per_class=2, faces=faces.path)
    assert {clip.subject_id for clip in store.clips} == {"folder/anna"}
    assert {str(clip.template).split("/")[0] for clip in store.clips} == {"samm"}
    assert store.clips[0].unseen == ("folder/anna",)
    assert len(ClipDataset(store, num_frames=2, scheme="five").classes) == 5
    header = store.meta["header"]
    assert header["faces_store"]["checksum"] == faces.checksum
    assert header["licence"] == "none; " + faces.meta["header"]["licence"]


def test_faces_of_a_database_without_the_classes_are_refused(place: Path, tmp_path: Path) -> None:
    side = ClipStore.open(place / "samm").image_size
    refusals = {"smic": "has no label scheme 'five'", "casme2": "'contempt' is neither"}
    for source, said in refusals.items():
        clips = [replace(c, source=source, emotion="surprise") for c in tiny_clips(subjects=1)]
        clips = [replace(c, name=f"clip_{i}") for i, c in enumerate(clips)]
        faces = write_tiny_store(tmp_path / source, clips, image_size=side)
        with pytest.raises(ValueError, match=f"--faces: .*{said}"):
            run(place, tmp_path / "s", faces=faces.path)
    assert not (tmp_path / "s").exists()


def test_kill_and_resume_leave_neither_duplicate_nor_gap(place: Path, tmp_path: Path) -> None:
    whole = run(place, tmp_path / "whole", per_class=5)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mersynth", "generate", "--store", str(place / "samm")]
    command += ["--checkpoint", str(place / "one"), "--out", str(out), "--per-class", "5"]
    command += OVERRIDES
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(map(_done, tmp_path.glob(".killed.*/journal.json"))):
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # or it would end meanwhile
    with pytest.raises(InUseError, match=rf"mersynth generate .*\(pid {process.pid} on"):
        run(place, out, per_class=5, resume=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    with pytest.raises(StoreError, match="add --resume"):
        run(place, out, per_class=5)
    with pytest.raises(StoreError, match="another store"):
        run(place, out, per_class=5, seed=9, resume=True)
    assert run(place, out, per_class=5, resume=True).checksum == whole.checksum
    before = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    assert run(place, out, per_class=5, resume=True).checksum == whole.checksum
    assert {file: file.stat().st_mtime_ns for file in out.iterdir()} == before
    with pytest.raises(StoreError, match="exists already, and is another store"):
        run(place, out, per_class=5, seed=9, resume=True)


def _done(journal: Path) -> int:
    return int(json.loads(journal.read_text())["done"])


def test_dry_run_shows_the_plan_and_writes_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"store": place / "samm", "checkpoint": place / "one", "out": tmp_path / "s"}
    assert generate(per_class=12, dry_run=True, **settings) is None
    shown = capsys.readouterr().err
    assert "contempt" in shown
    assert "subjects x clips" in shown
    assert list(tmp_path.iterdir()) == []


def test_dry_run_of_the_phantom_renders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert generate(per_class=28, source="phantom", checkpoint=place / "one", dry_run=True) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "override",
    ["num_frames=1", "batch_clips=0", "device=foo", "conditions.noise=7", "head_motion=maybe"],
)
def test_wrong_settings_leave_nothing(place: Path, tmp_path: Path, override: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=override.partition("=")[0]):
        run(place, tmp_path / "s", overrides=[*OVERRIDES, override])
    assert list(tmp_path.iterdir()) == []


def test_damaged_generator_leaves_nothing(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "one", tmp_path / "bad")
    (tmp_path / "bad" / load_card(tmp_path / "bad").weights).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="missing or damaged"):
        run(place, tmp_path / "s", checkpoint=tmp_path / "bad")
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_synthetic_stores_are_refused_as_input(place: Path, tmp_path: Path) -> None:
    made = run(place, tmp_path / "made")
    with pytest.raises(StoreError, match="holds synthetic clips"):
        run(place, tmp_path / "s", store=made.path)


@pytest.mark.usefixtures("pictures")
def test_pictures(place: Path, tmp_path: Path) -> None:
    store = run(place, tmp_path / "s", per_class=4)
    with Image.open(store.path / "contact_sheet.png") as sheet:
        assert sheet.width > 600
        assert sheet.height > 5 * 160
        assert store.clips[0].generator in sheet.info["xmp"].decode()  # marked as synthetic
    with Image.open(store.path / "classes.gif") as strip:
        assert strip.n_frames == 4
        assert strip.width > 5 * 160
    gifs = sorted((store.path / "gifs").glob("*.gif"))
    assert len(gifs) == 15
    with Image.open(gifs[0]) as gif:
        assert gif.n_frames == 4
    page = (store.path / "gallery.html").read_text()
    films = sorted((store.path / "gallery").iterdir())
    assert len(films) == 20
    assert all(f"gallery/{path.name}" in page for path in films)
    with Image.open(films[0]) as film:
        assert store.clips[0].generator in film.info["xmp"].decode()
    assert "20 synthetic clips, five classes" in page


def test_missing_things_name_the_command_that_makes_them(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no source 'sam'; known: casme2, samm, .*, phantom"):
        generate(per_class=3, source="sam")
    with pytest.raises(CheckpointError, match=r"`mersynth train --store \S+samm` makes one"):
        generate(per_class=3, store=place / "samm")
    with pytest.raises(StoreError, match=r"`mersynth prepare --source samm` makes it"):
        generate(per_class=3, source="samm", checkpoint=place / "one")
    with pytest.raises(StoreError, match=r"no store at \S+nothing"):
        generate(per_class=3, store=tmp_path / "nothing", checkpoint=place / "one")
    with pytest.raises(CheckpointError, match=r"no generator at .*nowhere"):
        generate(per_class=3, store=place / "samm", checkpoint=tmp_path / "nowhere")
    small = write_tiny_store(tmp_path / "small", image_size=16)
    with pytest.raises(CheckpointError, match=r"32 pixels, the frames of \S+ have 16"):
        generate(per_class=3, store=small.path, checkpoint=place / "one")
    assert not (tmp_path / "stores").exists()


def test_a_folder_of_photos_alone_follows_the_phantom(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = {"happiness": 2, "disgust": 2, "surprise": 2, "contempt": 2, "anger": 2, "other": 2}
    write_store(tmp_path / "stores/phantom", image_size=32, subjects=4, counts=counts, max_frames=4)
    shutil.copytree(place / "one", "checkpoints/phantom")
    Path("photos").mkdir()
    frames, _, _ = render_clip(clip_specs(subjects=9)[-1], 96)
    Image.fromarray(frames[0]).save("photos/anna.png")
    faces = {"per_class": 2, "faces": Path("photos"), "overrides": OVERRIDES}
    assert generate(**faces, dry_run=True) is None
    assert [path.name for path in Path("stores").iterdir()] == ["phantom"]
    store = generate(**faces, out=tmp_path / "s")
    assert store is not None
    assert {clip.subject_id for clip in store.clips} == {"folder/anna"}
    assert {str(clip.template).split("/")[0] for clip in store.clips} == {"phantom"}
    (kept,) = Path("stores").glob("photos_*")
    assert store.meta["header"]["faces_store"]["checksum"] == ClipStore.open(kept).checksum


def test_a_mask_shows_where_a_motion_head_moves(place: Path) -> None:
    generator = IcganGenerator(SHIPPED)
    generator.load(64, torch.device("cpu"))
    face = render_clip(clip_specs(subjects=1, counts={"happiness": 1})[0], 64)
    item = StoredClip(clip_specs(subjects=1, counts={"happiness": 1})[0].clip, *face)
    curve = np.zeros((2, len(CONDITION_AUS), 2), np.float32)
    curve[1, CONDITION_AUS.index(1)] = 0.5  # the brows' inner ends go up
    image, mask = generator.show(item, curve, 1)
    assert torch.equal(image, generator.animate([item], curve[None])[0, 1])
    assert mask.shape == (64, 64)
    assert mask.min() < 0.1
    assert mask[:32].mean() < mask[40:].mean()
