"""Marks of synthetic clips in pictures and films: the file itself says that a generator made it.

A mark is plain metadata with the fields that IPTC's Photo Metadata Standard 2025.1 and C2PA use for
generated media, as an XMP packet: in a PNG's ``iTXt`` chunk, a JPEG's ``APP1`` segment, an MP4's
``uuid`` box; in a GIF, as a comment. It is not signed, and easily removed. The fields::

    Iptc4xmpExt:DigitalSourceType    SOURCE_TYPE
    Iptc4xmpExt:AISystemUsed         mersynth and its version
    Iptc4xmpExt:AISystemVersionUsed  SHA-256 of the generators, separated by spaces
    dc:description                   for each clip whose face is shown and AU curve followed
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from mersynth import __version__
from mersynth.clips import Clip

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a picture that was changed by a generative model, the closest for the AU warp."""

_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # XMP specification, part 3, 1.2.7
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 Iptc4xmpExt:DigitalSourceType={kind}
 Iptc4xmpExt:AISystemUsed={system}
 Iptc4xmpExt:AISystemVersionUsed={generators}>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a file says of the synthetic clips that it shows.

    Attributes:
        text: a sentence for each clip.
        generators: SHA-256 of those that made them.
    """

    text: str
    generators: tuple[str, ...]

    @property
    def xmp(self) -> str:
        """The XMP packet."""
        return _XMP.format(
            kind=quoteattr(SOURCE_TYPE),
            system=quoteattr(f"mersynth {__version__}"),
            generators=quoteattr(" ".join(self.generators)),
            text=escape(self.text),
        )


def mark_of(clips: Iterable[Clip]) -> Mark | None:
    """The mark of a picture or film of clips; None if none of them is synthetic."""
    made = [clip for clip in clips if clip.is_synthetic]
    if not made:
        return None
    text = " ".join(map(_sentence, made))
    return Mark(text, tuple(dict.fromkeys(clip.generator or "" for clip in made)))


def _sentence(clip: Clip) -> str:
    follows = f"the AU curve of {clip.template}" if clip.template else "a prototype"
    return (
        f"Synthetic clip {clip.id}: shows the face of {clip.subject_id}, follows {follows}, made "
        f"by the generator {clip.generator}."
    )


def picture_options(suffix: str, mark: Mark | None) -> dict[str, Any]:
    """Arguments of Pillow's ``Image.save`` that put a mark into a picture.

    Args:
        suffix: of the file: ``.png``, ``.jpg`` or ``.gif``; other formats have no place for it.
        mark: None: nothing is added.
    """
    if mark is None:
        return {}
    if suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", mark.xmp)
        return {"pnginfo": info}
    if suffix == ".jpg":
        return {"xmp": mark.xmp.encode()}
    if suffix == ".gif":
        return {"comment": f"{SOURCE_TYPE} {mark.text}".encode()}
    return {}


def mark_mp4(path: Path, mark: Mark | None) -> None:
    """Append a mark to a complete MP4 file; players skip the box."""
    if mark is not None:
        content = _UUID + mark.xmp.encode()
        with path.open("ab") as file:
            file.write((8 + len(content)).to_bytes(4, "big") + b"uuid" + content)
