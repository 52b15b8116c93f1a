"""What is found on any photo: pictures of installed packages, file formats, and faulty files.

    python scripts/measure_photos.py --out docs/any_photo.md

Every picture that some packages bring is searched by every detector whose weights are on this
machine. Where faces are was marked by eye. ``pip install 'mersynth[heic,studio]' matplotlib``
brings all of these packages.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring.documents import document, paragraph, table
from PIL import Image, features
from skimage.data import astronaut

from mersynth import logs
from mersynth.checks import listed
from mersynth.face import mtcnn
from mersynth.face.detect import DETECTORS, FaceFinder
from mersynth.face.face import Face
from mersynth.face.weights import WeightsMissingError
from mersynth.prepare.command import prepare
from mersynth.sources.errors import PrepareError
from mersynth.sources.frames import read_frame
from mersynth.sources.media import files_of
from mersynth.store.clip_store import ClipStore

FOLDERS = (
    "feat/tests/data", "skimage/data", "matplotlib/mpl-data/sample_data", "sklearn/datasets/images",
    "gradio/media_assets/images",
)  # fmt: skip
"""Folders of packages with pictures."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Who is to be seen on a picture.

    Attributes:
        what: in words.
        at: a place on each face, x and y in pixels.
    """

    what: str
    at: tuple[tuple[int, int], ...]


# The other pictures show no human face. Groot, a film's tree, and animals are no humans.
SHOWN = {
    "0-f1-su-ph.jpg": Shown("surprise, frontal", ((265, 260),)),
    "0-f15-hao-ph.jpg": Shown("happiness, frontal", ((250, 290),)),
    "15-f13-anc-ph.jpg": Shown("anger, turned by 15 degrees", ((215, 300),)),
    "45-m7-di-ph.jpg": Shown("disgust, turned by 45 degrees", ((100, 310),)),
    "BWPictureHuman.jpg": Shown("a soldier in profile, grey, small", ((890, 470),)),
    "multi_face.jpg": Shown(
        "five people, one with sunglasses",
        ((736, 341), (578, 355), (367, 284), (268, 105), (478, 249)),
    ),
    "single_face.jpg": Shown("a man, frontal", ((270, 270),)),
    "Image_with_alpha.png": Shown("a man, a hand over an eye, head tilted", ((740, 400),)),
    "astronaut.png": Shown("a woman, frontal, in a scene", ((225, 110),)),
    "camera.png": Shown("a man in profile behind a camera, grey", ((233, 155),)),
    "grace_hopper.jpg": Shown("an old woman with glasses and a cap", ((263, 200),)),
}  # fmt: skip

# What the format's name is on disk, and how the file is written.
FORMATS = {
    "PNG": ("png", {}),
    "JPEG": ("jpg", {"quality": 92}),
    "WebP": ("webp", {"quality": 92}),
    "TIFF": ("tiff", {}),
    "AVIF": ("avif", {"quality": 92}),
    "HEIC": ("heic", {"quality": 92}),
    "BMP": ("bmp", {}),
    "JPEG 2000": ("jp2", {}),
}  # fmt: skip
TURNED = {1: 0, 3: 180, 6: 90, 8: 270}  # EXIF orientation: how far the sensor was turned, degrees


def main() -> None:
    """Write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/any_photo.md"))
    options = parser.parse_args()
    logs.set_up(debug=False)
    with tempfile.TemporaryDirectory() as folder:
        parts = [_detectors(Path(folder)), _formats(Path(folder)), _faults(Path(folder))]
    head = f"""
        `mersynth prepare --source folder` reads all photos in a folder, and reports for every
        file what became of it; the studio, `generate --faces` and `transfer --face` read photos in
        the same way. Made by `python scripts/measure_photos.py`, with Pillow
        {Image.__version__}.
        """
    options.out.write_text(
        document(["# Any photo", paragraph(head), *(text for part in parts for text in part)]),
        encoding="utf-8",
    )


def pictures() -> tuple[list[Path], list[str]]:
    """The pictures of the installed packages, and the packages that are missing."""
    found: list[Path] = []
    missing = []
    for name in FOLDERS:
        package, _, inner = name.partition("/")
        spec = importlib.util.find_spec(package)
        folder = Path(spec.submodule_search_locations[0], inner) if spec else None  # type: ignore[index]
        if folder is None or not folder.is_dir():
            missing.append(package)
            continue
        found += files_of(folder).images
    return found, missing


def _detectors(folder: Path) -> list[str]:
    paths, missing = pictures()
    finders, absent = {}, []
    for name in DETECTORS:
        try:
            finders[name] = FaceFinder(name)
        except (WeightsMissingError, ValueError):
            absent.append(DETECTORS[name])
    rows, others, unread = [], 0, []
    wrong: dict[str, list[str]] = {name: [] for name in finders}
    totals = {name: [0, 0, 0] for name in finders}
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    people = 0
    with logs.progress("searching", total=len(paths), unit="pictures") as advance:
        for path in paths:
            advance(1)
            try:
                image = read_frame(path)
            except ValueError as error:
                unread.append(f"`{path.name}` ({error})")
                continue
            shown = SHOWN.get(path.name)
            if shown is None:
                others += 1
                for name, finder in finders.items():
                    wrong[name] += [path.name] * len(finder.find_all(image))
                continue
            people += len(shown.at)
            cells = [f"`{_package(path)}` {path.name}", shown.what, str(len(shown.at))]
            for name, finder in finders.items():
                start = time.process_time()
                faces = finder.find_all(image, exact=None)
                seconds[name].append(time.process_time() - start)
                right = count_right(faces, shown.at)
                stored = _count_stored(path, name, folder)
                counts = (right, len(faces) - right, stored)
                totals[name] = [a + b for a, b in zip(totals[name], counts, strict=True)]
                cells += [str(right), str(stored)]
            rows.append(cells)
    last = ["all", "", str(people)]
    for right, _, stored in totals.values():
        last += [str(right), str(stored)]
    last_row = [f"**{cell}**" if cell else "" for cell in last]
    head = ["picture", "shows", "faces"]
    for name in finders:
        head += [f"`{name}` found", "stored"]
    more = " and ".join(f"{t[1]} by `{n}`" for n, t in totals.items())
    took = " and ".join(f"{np.median(s):.2f} s by `{n}`" for n, s in seconds.items())
    at_none = " and ".join(
        f"`{name}` finds {f'{len(names)} (in {listed(names)})' if names else 'none'}"
        for name, names in wrong.items()
    )
    text = f"""
        Public pictures that packages bring, none of them made for this purpose, searched by
        {" and ".join(f"`detector={n}` ({DETECTORS[n]})" for n in finders)}. A face is *found* if a
        box holds the place on it that was marked by eye; other boxes: {more}. A picture takes
        {took} (median, one core). *Stored* are the clips that `prepare --source folder face=all`
        makes: a face whose eyes and mouth cannot be brought to their places is left out and named.
        MTCNN searches for faces of a {_ordinal(mtcnn.SMALLEST_SHARE)} of the shorter side or more,
        and refuses heads that lie sideways. On {others} more pictures of the packages, which show
        no human face, {at_none}.
        """
    notes = []
    if absent:
        notes.append(f"Not measured, as its weights are not on this machine: {', '.join(absent)}.")
    if missing:
        notes.append(f"Not installed: {', '.join(missing)}.")
    if unread:
        notes.append(f"Not read: {', '.join(unread)}.")
    return [
        "## What detectors find",
        paragraph(text),
        table(head, [*rows, last_row], words=(0, 1)),
        *([paragraph(" ".join(notes))] if notes else []),
    ]


def _package(path: Path) -> str:
    return next(name.partition("/")[0] for name in FOLDERS if name in path.as_posix())


def _ordinal(number: int) -> str:
    return {12: "twelfth"}.get(number, f"{number}th")


def count_right(faces: Sequence[Face], at: Sequence[tuple[int, int]]) -> int:
    """How many marked places lie in a box, each box counting for one."""
    left = list(faces)
    for x, y in at:
        holds = (f for f in left if f.box[0] <= x <= f.box[2] and f.box[1] <= y <= f.box[3])
        face = next(holds, None)
        if face is not None:
            left.remove(face)
    return len(faces) - len(left)


def _count_stored(path: Path, detector: str, folder: Path) -> int:
    store = _prepared([path], folder, detector=detector, face="all")
    return 0 if store is None else len(store)


def _prepared(paths: Sequence[Path], folder: Path, **options: object) -> ClipStore | None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        try:
            return prepare(
                "folder",
                out=Path(place, "s"),
                images=paths,
                image_size=256,
                intensities="none",
                **options,
            )
        except PrepareError:
            return None


def _formats(folder: Path) -> list[str]:
    """The same photo in every format, held in four ways."""
    upright = Image.fromarray(astronaut()).crop((0, 0, 512, 460))  # a turned one has another shape
    rows = []
    eyes = None
    for name, (suffix, options) in FORMATS.items():
        cells = [name, f".{suffix}"]
        for orientation, degrees in TURNED.items():
            path = folder / f"held{orientation}.{suffix}"
            said = _write(upright.rotate(degrees, expand=True), path, orientation, options)
            if said is None:
                store = _prepared([path], folder)
                assert store is not None, path
                points = np.linalg.inv(_square(store)) @ np.array([127.5, 127.5, 1.0])
                eyes = points if eyes is None else eyes
                said = f"{np.linalg.norm(points - eyes):.2f}"
            cells.append(said)
        rows.append(cells)
    text = """
        The same photo, by Pillow in every format, upright and as phones store what they took turned
        over: with the pixels as the sensor saw them, and the EXIF tag that says how to turn them.
        The figures say how far the centre of the aligned face, in pixels of the photo (512 x 460),
        lies from where it is by the upright PNG; what remains is the compression's.
        """
    head = ["format", "file", *("upright" if not d else f"turned by {d}°" for d in TURNED.values())]
    return ["## Formats and phones", paragraph(text), table(head, rows, words=(0, 1))]


def _square(store: ClipStore) -> np.ndarray:
    (matrix,) = store.meta["header"]["alignments"].values()
    return np.vstack([matrix, [0, 0, 1]])


def _write(image: Image.Image, path: Path, orientation: int, options: dict[str, int]) -> str | None:
    """Write a photo; why it cannot be, in a word."""
    if path.suffix == ".avif" and not features.check("avif"):
        return "no AVIF in this Pillow"
    if path.suffix == ".heic":
        if importlib.util.find_spec("pillow_heif") is None:
            return "no pillow-heif"
        import pillow_heif

        pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation > 1:
        if path.suffix in (".bmp", ".jp2"):
            return "no EXIF"
        if path.suffix == ".heic":
            # As phones do: the file says beside EXIF how to turn it, and that is what counts.
            pillow_heif.from_pillow(image).save(path, exif=exif.tobytes(), **options)
            return None
    image.save(path, exif=exif, **options) if orientation > 1 else image.save(path, **options)
    return None


def _faults(folder: Path) -> list[str]:
    """Files that cannot be used, and what is told of each."""
    photos = folder / "photos"
    photos.mkdir()
    good = Image.fromarray(astronaut())
    good.save(photos / "ada.jpg")
    good.save(photos / "ada.png")
    whole = (photos / "ada.jpg").read_bytes()
    (photos / "bea.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "cleo.jpg").touch()
    (photos / "dora.jpg").write_text("no picture")
    (photos / "eva.dng").write_bytes(b"II*\0")
    (photos / "fay.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    Image.new("RGB", (300, 300), "white").save(photos / "gil.png")
    good.save(photos / "hal.gif", save_all=True, append_images=[good.rotate(5)])
    (photos / "notes.txt").write_text("no picture")
    for name in ("._ada.jpg", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (photos / name).write_bytes(b"\0\5\x16\7")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store = prepare(
            "folder", photos, Path(place, "s"), skip_bad=True, intensities="none", image_size=64
        )
        header = store.meta["header"]
    rows = [[f"`{p['file']}`", p["reason"]] for p in (*header["skipped"], *header["warnings"])]
    text = """
        A folder with one good photo, `ada.jpg`, among files that cannot be used. Without
        `--skip-bad` nothing is written, and the same list is shown. `._ada.jpg`, `Thumbs.db`,
        `.DS_Store` and `desktop.ini`, which lay there too, are passed over without a word. HEIC
        takes a package of its own: `pip install 'mersynth[heic]'`.
        """
    return [
        "## What is told of other files",
        paragraph(text),
        table(["file or clip", "what is told"], rows, words=(0, 1)),
    ]


if __name__ == "__main__":
    main()
