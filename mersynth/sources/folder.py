"""Photos and videos of faces without any annotation but the person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mersynth import logs
from mersynth.clips import Clip
from mersynth.disk.files import real_path
from mersynth.sources.base import ClipFiles, Scan, Source, folders, leads_out
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.frames import check_frame
from mersynth.sources.media import files_of, kind_of, left_out
from mersynth.sources.video import VideoFile, check_video

UNLABELLED = "unlabelled"


class Folder(Source):
    """Photos and videos of faces, one person in each, in this tree.

    ::

        folder/
            anna.jpg               a photo: subject anna
            ben.mp4                a video: subject ben
            carla/                 several of one person: subject carla
                portrait.png
                interview.mov
            ...

    Photos are whatever Pillow opens (.jpg, .png, .webp, .tif ...; .heic with the extra
    ``mersynth[heic]``) and become clips of one frame; videos are whatever OpenCV opens (.mp4, .mov,
    .avi ...) and become clips of all their frames. Other files, and folders within a person's, are
    left out and reported. Of several faces on a photo the largest is taken; with ``face=all`` each
    is a person, ``anna_face1``, ``anna_face2`` and so on from the largest, unless the photo lies in
    a person's folder; whoever is on two such photos is two people. The clips have neither emotion
    nor AUs; their faces can be used for synthesis (``mersynth generate --faces STORE``).

    Args:
        images: photos to use instead of a folder; each is a subject, named after the file.
        videos: videos to use, likewise.
    """

    name = "folder"
    licence = "that of the photos and videos themselves: ask the people they show"
    citation = "none: photos and videos of your own"
    request = "put photos and videos of faces there"

    def __init__(self, images: Sequence[Path] = (), videos: Sequence[Path] = ()) -> None:
        self.images = tuple(map(Path, images))
        self.videos = tuple(map(Path, videos))

    def find_annotations(self, root: Path) -> Path:
        """The folder itself, since there is no annotation."""
        return root

    def scan(self, root: Path) -> Scan:
        """Find photos and videos; see :meth:`Source.scan`.

        Raises:
            SourceError: if the root is missing, or there is neither a photo nor a video.
        """
        problems: list[Problem] = []
        if self.images or self.videos:
            named = dict.fromkeys((*self.images, *self.videos))  # a file named twice is one
            found = [(path.stem, path, str(path)) for path in named]
        else:
            self.check_root(root)
            found = [
                (subject, path, path.relative_to(root).as_posix())
                for subject, path in _pictures(root, problems)
            ]
        if not found:
            reasons = "".join(f"\n  {problem}" for problem in problems)
            raise SourceError(f"{root} holds neither photos nor videos.{reasons}\n\n{self.tree}")
        clips: list[ClipFiles] = []
        places: dict[str, str] = {}
        with logs.progress("checking folder", total=len(found), unit="files") as advance:
            for subject, path, place in found:
                advance(1)
                try:
                    if not self.images and not self.videos and leads_out(path, root):
                        raise ValueError(
                            "a symbolic link leads out of the folder; copy the file here"
                        )
                    files = self._check(subject, path, place, root, problems)
                    first = places.setdefault(files.clip.id, place)
                    if first != place:
                        raise ValueError(f"{first} has the same name; give them different names")
                except ValueError as error:
                    problems.append(Problem(place, str(error)))
                    continue
                clips.append(files)
        return Scan(tuple(clips), tuple(problems), "raw" if clips else None)

    def _check(
        self, subject: str, path: Path, place: str, root: Path, problems: list[Problem]
    ) -> ClipFiles:
        if not path.is_file():
            raise ValueError("there is no such file")
        if path in self.videos or kind_of(path) == "video":
            count, promised, fps = check_video(path)
            if count < promised:
                reason = f"only {count} of the {promised} frames that it declares can be read"
                problems.append(Problem(place, f"{reason}; those are stored", fatal=False))
            return VideoFile(self._clip(subject, path.stem, count, fps), (path,))
        check_frame(path)
        # Only the folder of a person says whom a photo shows.
        anyone = path in self.images or path.parent == root
        return ClipFiles(self._clip(subject, path.stem, 1, 1.0), (path,), anyone=anyone)

    def _clip(self, subject: str, name: str, frames: int, fps: float) -> Clip:
        return Clip(
            source=self.name,
            subject=subject,
            name=name,
            onset=0,
            apex=0 if frames == 1 else None,
            offset=frames - 1,
            emotion=UNLABELLED,
            fps=fps,
        )


def _pictures(root: Path, problems: list[Problem]) -> Iterator[tuple[str, Path]]:
    """Photos and videos of the folder and of the folders in it, each with its subject.

    Files left out are added to the problems, except those that operating systems leave behind.
    """
    for folder in (root, *folders(root)):
        files = files_of(folder)
        place = real_path(root).name if folder == root else folder.relative_to(root).as_posix()
        problems += left_out(files.others, place, "photos or videos")
        if folder != root:
            for inner in folders(folder):
                reason = "a folder within a person's folder is left out; move its files up"
                problems.append(Problem(f"{place}/{inner.name}", reason, fatal=False))
            if not files.images and not files.videos:
                reason = "the person's folder holds neither photos nor videos"
                problems.append(Problem(place, reason, fatal=False))
        for path in sorted((*files.images, *files.videos)):
            yield path.stem if folder == root else folder.name, path
