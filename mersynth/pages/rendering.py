"""Pages from templates, written completely or not at all."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mersynth.disk.files import whole_file
from mersynth.disk.lock import hold

if TYPE_CHECKING:
    from jinja2 import Environment

_SHARED = Path(__file__).parent


def render(folder: Path, template: str, path: Path, **content: Any) -> Path:
    """Fill a template and write it all or nothing; text in the content is escaped.

    Args:
        folder: folder of the templates; ``base.html.j2`` and ``style.css`` are beside this file.
        template: file in that folder.
        path: the page to write; its folder must exist.
        content: the template's variables.

    Returns:
        The path.
    """
    page = _environment(folder).get_template(template).render(**content)
    with hold(path, wait=True), whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


# A template takes longer to compile than to fill.
@functools.cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from mersynth.checks import listed

    environment = Environment(
        loader=FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=figure,
        signed=signed,
        mean_count=mean_count,
        plural=plural,
        duration=duration,
        listed=listed,
    )
    return environment


def figure(value: float | None) -> str:
    """Three decimals; a dash for None."""
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001


def signed(value: float) -> str:
    """Three decimals with a sign, except for zero; the minus is as wide as a plus."""
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text.replace("-", "−")  # noqa: RUF001


def mean_count(value: float) -> str:
    """A whole number without decimals, others with one."""
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


def plural(value: int, noun: str, nouns: str | None = None) -> str:
    """For instance ``1 clip``, ``2 clips``."""
    return f"{value:,} {noun if value == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """For instance ``48.2 s``, ``12 min 5 s``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{minutes // 60} h {minutes % 60} min"
