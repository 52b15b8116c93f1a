"""The databases, one module each, by their names."""

from __future__ import annotations

from mersynth.sources.affectnet import AffectNet
from mersynth.sources.base import Source
from mersynth.sources.casme import CASME
from mersynth.sources.casme2 import CASME2
from mersynth.sources.casme3 import CASME3, CASME3Depth, CASME3Macro
from mersynth.sources.ckplus import CKPlus
from mersynth.sources.errors import PrepareError, Problem, SourceError
from mersynth.sources.folder import Folder
from mersynth.sources.mmew import MMEW, MMEWMacro
from mersynth.sources.samm import SAMM
from mersynth.sources.smic import SMIC, SMICNIR, SMICVIS
from mersynth.sources.smic_further import SMICFurther

__all__ = [
    "PHANTOM",
    "SOURCES",
    "PrepareError",
    "Problem",
    "Source",
    "SourceError",
    "get_source",
    "register",
]

SOURCES: dict[str, Source] = {}
"""The databases that are trees on disk, by name; the phantom, which is rendered, is not one."""


PHANTOM = "phantom"
"""Name of the rendered source."""


def register(source: Source) -> None:
    """Register a database under its name.

    Raises:
        ValueError: if the name is taken.
    """
    if source.name in SOURCES:
        raise ValueError(f"source {source.name!r} is registered already")
    SOURCES[source.name] = source


def get_source(name: str) -> Source:
    """The database with a name.

    Raises:
        ValueError: if there is none.
    """
    if name not in SOURCES:
        raise ValueError(f"no database {name!r}; known: {', '.join(SOURCES)}")
    return SOURCES[name]


register(CASME2())
register(SAMM())
register(SMIC())
register(SMICFurther())
register(SMICVIS())
register(SMICNIR())
register(CASME())
register(MMEW())
register(MMEWMacro())
register(CASME3())
register(CASME3Macro())
register(CASME3Depth())
register(CKPlus())
register(AffectNet())
register(Folder())
