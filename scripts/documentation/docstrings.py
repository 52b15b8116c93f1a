"""The docstrings' reStructuredText as Markdown, for the documentation site."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import griffe

_ROLE = re.compile(r":(?:\w+):`(~?)([^`]+)`")
_SESSION = re.compile(r"^([ ]*)>>> .*\n?(?:^[ ]*\S.*\n?)*", re.MULTILINE)


def markdown_of(text: str, link: Callable[[str], str | None] = lambda target: None) -> str:
    """Roles such as ``:func:``, literal blocks and sessions, as Markdown; the rest is the same.

    Args:
        text: a docstring, without indentation.
        link: from a role's target to the full name of what it means; None: do not link it.
    """

    def code(match: re.Match[str]) -> str:
        target = match[2]
        name = target.rpartition(".")[2] if match[1] else target
        full = link(target)
        if full is None:
            return f"`{name}`"
        # Optional: what the site has no page for stays plain.
        return f'<autoref identifier="{full}" optional><code>{name}</code></autoref>'

    text = _ROLE.sub(code, text)
    text = _SESSION.sub(lambda m: f"{m[1]}```pycon\n{m[0].rstrip()}\n{m[1]}```\n", text)
    text = re.sub(r"^[ ]*::\n\n", "", text, flags=re.MULTILINE)
    return re.sub(r"::(\n\n)", r":\1", text)


class Docstrings(griffe.Extension):
    """Lets mkdocstrings read the package's docstrings."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is None:
            return

        def resolved(target: str) -> str | None:
            first, _, rest = target.partition(".")
            try:
                full = obj.resolve(first)
            except griffe.NameResolutionError:
                return None
            return f"{full}.{rest}" if rest else full

        obj.docstring.value = markdown_of(obj.docstring.value, resolved)
