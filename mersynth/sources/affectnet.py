"""AffectNet (Mollahosseini et al. 2017), the manually annotated images: faces from the internet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mersynth import logs
from mersynth.sources.affectnet_annotations import (
    EMOTIONS,
    LISTS,
    SETS,
    WITHOUT_EXPRESSION,
    AnnotatedImage,
    images_of_arrays,
    images_of_list,
)
from mersynth.sources.base import ClipFiles, Scan, Source
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.stills import check_still, still_clip


@dataclass(frozen=True, slots=True)
class FaceFiles(ClipFiles):
    """An image with a box around the face.

    Attributes:
        box: left, top, right and bottom of the face, in pixels of the file, inside the image. The
            landmarks are relative to its corner.
    """

    box: tuple[int, int, int, int] = (0, 0, 0, 0)

    def read(self) -> Iterator[np.ndarray]:
        """The face, (H, W, 3) uint8, RGB."""
        left, top, right, bottom = self.box
        # The plain super() does not work in a dataclass with slots.
        return (frame[top:bottom, left:right] for frame in ClipFiles.read(self))


class AffectNet(Source):
    """AffectNet's manually annotated images, in one of two trees.

    The first release::

        affectnet/
            Manually_Annotated_file_lists/
                training.csv
                validation.csv
            Manually_Annotated_Images/
                103/
                    29a31ebf1567693f4644c8ba3476ca9a72ee07fe67a5860d98707a0a.jpg
                    ...
                ...

    The release of cropped faces, which has arrays instead of lists::

        affectnet/
            train_set/
                images/
                    0.jpg                  224x224 pixels
                    ...
                annotations/
                    0_exp.npy              code of the expression
                    0_lnd.npy              136 numbers: x and y of 68 landmarks
                    ...
            val_set/
                ...

    Either half, for training or for validation, may be missing. In the first release the face's box
    is cut out, so that both releases give cropped faces. An image is a clip of one frame; the frame
    rate is nominal. It is not published who the images show, so each image is a subject of its own,
    named after the image, ``train-103-29a3...`` or ``val-0``. The same person can be two subjects:
    use the database for training, not to compare subjects. Images annotated as none, uncertain or
    no-face are left out, and counted in one warning. A scan decodes each image once and holds the
    landmarks of all, about 2 kB per image. The layout is taken from published code that reads it.
    """

    name = "affectnet"
    fps = 1.0
    licence = (
        "AffectNet licence agreement: non-commercial research only, no redistribution; it also "
        "governs clips made from the database"
    )
    citation = (
        "Mollahosseini, A., Hasani, B., Mahoor, M. H. (2017). AffectNet: A database for facial "
        "expression, valence, and arousal computing in the wild. IEEE Transactions on Affective "
        "Computing 10(1): 18-31"
    )
    request = (
        "the licence agreement and the form are on the AffectNet page of Mohammad Mahoor "
        "(mohammadmahoor.com); laboratory managers and professors sign it"
    )

    def find_annotations(self, root: Path) -> Path:
        """The folder of the lists of the first release, or the root of the cropped faces.

        Raises:
            SourceError: if there is neither, or both.
        """
        lists = root / "Manually_Annotated_file_lists"
        first = [name for name in LISTS.values() if (lists / name).is_file()]
        second = [name for name in SETS.values() if (root / name / "annotations").is_dir()]
        if first and second:
            raise SourceError(f"{root} holds both releases; keep each in its own root")
        if not first and not second:
            raise SourceError(f"{root} holds no annotations of {self.name}.\n\n{self.tree}")
        return lists if first else root

    def scan(self, root: Path) -> Scan:
        """Find the images; see :meth:`Source.scan`.

        Raises:
            SourceError: if the root or its annotations are missing, or a list cannot be read.
        """
        self.check_root(root)
        annotations = self.find_annotations(root)
        read = images_of_arrays if annotations == root else images_of_list
        clips: list[ClipFiles] = []
        problems: list[Problem] = []
        left_out: Counter[str] = Counter()
        for split in LISTS:
            total = _count(annotations, split)
            with logs.progress(f"checking {self.name} {split}", total, "images") as advance:
                for image in read(root, split, problems):
                    advance(1)
                    if image is None:
                        continue
                    if image.code in WITHOUT_EXPRESSION:
                        left_out[f"{split}: {WITHOUT_EXPRESSION[image.code]}"] += 1
                        continue
                    files = self._check(image, root, problems)
                    if files is not None:
                        clips.append(files)
        if left_out:
            shown = ", ".join(f"{what} {count}" for what, count in sorted(left_out.items()))
            reason = f"images without an expression were left out ({shown})"
            place = annotations.relative_to(root).as_posix()
            problems.append(Problem(place, reason, fatal=False))
        return Scan(tuple(clips), tuple(problems), "cropped" if clips else None)

    def _check(
        self, image: AnnotatedImage, root: Path, problems: list[Problem]
    ) -> ClipFiles | None:
        clip = still_clip(
            source=self.name,
            subject=image.name,
            name=image.name,
            emotion=EMOTIONS[image.code],
            fps=self.fps,
        )
        place = image.file.relative_to(root).as_posix()
        if not image.file.is_file():
            problems.append(Problem(place, "the image is in the annotations, but not in the tree"))
            return None
        checked = check_still(clip, image.file, root)
        problems += checked.problems
        if checked.size is None:
            return None
        width, height = checked.size
        left, top, right, bottom = image.box or (0, 0, width, height)
        box = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
        if box[0] >= box[2] or box[1] >= box[3]:
            reason = f"the face's box {image.box} lies outside the image of {width}x{height}"
            problems.append(Problem(place, reason))
            return None
        points = image.landmarks
        landmarks = None if points is None else points[None] - np.array(box[:2], np.float32)
        return FaceFiles(clip, checked.frames, landmarks, box=box)


def _count(annotations: Path, split: str) -> int:
    """Number of images of a split, for the progress bar."""
    file = annotations / LISTS[split]
    if file.is_file():
        with file.open("rb") as lines:
            return max(sum(1 for _ in lines) - 1, 0)
    folder = annotations / SETS[split] / "images"
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
