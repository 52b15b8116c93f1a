"""Photos and videos of faces, of which nothing but the person is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mersynth import logs
from mersynth.clips import Clip
from mersynth.sources.base import FRAME_SUFFIXES, ClipFiles, Scan, Source, folders, leads_out
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.frames import check_frame
from mersynth.sources.video import VIDEO_SUFFIXES, VideoFile, check_video

UNLABELLED = "unlabelled"


class Folder(Source):
    """Any photos and videos of faces, one person on each, in this tree.

    ::

        folder/
            anna.jpg               a photo: subject anna
            ben.mp4                a video: subject ben
            carla/                 several of one person: subject carla
                portrait.png
                interview.mov
            ...

    Photos are .jpg, .jpeg, .bmp or .png and become clips of one frame; videos are .mp4, .avi, .mov,
    .mkv, .webm or .m4v and become clips of all their frames. They have neither emotion nor AUs:
    they lend their faces to synthesis (``mersynth generate --faces STORE``).

    Args:
        images: photos to take instead of a folder, each of a subject called as the file.
        videos: videos to take, likewise.
    """

    name = "folder"
    licence = "that of the photos and videos themselves: ask the people they show"
    citation = "none: photos and videos of your own"
    request = "put photos and videos of faces there"

    def __init__(self, images: Sequence[Path] = (), videos: Sequence[Path] = ()) -> None:
        self.images = tuple(map(Path, images))
        self.videos = tuple(map(Path, videos))

    def find_annotations(self, root: Path) -> Path:
        """The folder itself: nothing annotates it."""
        return root

    def scan(self, root: Path) -> Scan:
        """Find photos and videos; see :meth:`Source.scan`.

        Raises:
            SourceError: if the root is not there, or there is neither a photo nor a video.
        """
        if self.images or self.videos:
            named = dict.fromkeys((*self.images, *self.videos))  # a file named twice is one
            found = [(path.stem, path, str(path)) for path in named]
        else:
            self.check_root(root)
            found = [(s, path, path.relative_to(root).as_posix()) for s, path in _pictures(root)]
        if not found:
            raise SourceError(f"{root} holds neither photos nor videos.\n\n{self.tree}")
        clips: list[ClipFiles] = []
        problems: list[Problem] = []
        places: dict[str, str] = {}
        with logs.progress("checking folder", total=len(found), unit="files") as advance:
            for subject, path, place in found:
                advance(1)
                try:
                    if not self.images and not self.videos and leads_out(path, root):
                        raise ValueError(
                            "a symbolic link leads out of the folder; copy the file here"
                        )
                    files = self._check(subject, path, place, problems)
                    first = places.setdefault(files.clip.id, place)
                    if first != place:
                        raise ValueError(f"{first} has the same name; give each a name of its own")
                except ValueError as error:
                    problems.append(Problem(place, str(error)))
                    continue
                clips.append(files)
        return Scan(tuple(clips), tuple(problems), "raw" if clips else None)

    def _check(self, subject: str, path: Path, place: str, problems: list[Problem]) -> ClipFiles:
        if not path.is_file():
            raise ValueError("there is no such file")
        if path in self.videos or path.suffix.lower() in VIDEO_SUFFIXES:
            count, promised, fps = check_video(path)
            if count < promised:
                reason = f"{count} of the {promised} frames that it promises can be read"
                problems.append(Problem(place, f"{reason}; those are stored", fatal=False))
            return VideoFile(self._clip(subject, path.stem, count, fps), (path,))
        check_frame(path)
        return ClipFiles(self._clip(subject, path.stem, 1, 1.0), (path,))

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


def _pictures(root: Path) -> Iterator[tuple[str, Path]]:
    """Photos and videos of the folder and of the folders in it, each with its subject."""
    for path in _files(root):
        yield path.stem, path
    for subject in folders(root):
        for path in _files(subject):
            yield subject.name, path


def _files(folder: Path) -> Iterable[Path]:
    known = (*FRAME_SUFFIXES, *VIDEO_SUFFIXES)
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in known and not p.is_dir())
