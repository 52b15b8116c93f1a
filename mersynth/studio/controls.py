"""A list of what is on disk, read anew when its tab opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mersynth.studio.errors import shows_errors

if TYPE_CHECKING:
    import gradio as gr


def fresh_dropdown(tab: gr.Tab, find: Callable[[], Sequence[str]], **options: Any) -> gr.Dropdown:
    """A list that looks again whenever its tab is chosen.

    Not when it is opened: what is clicked while a list changes may be another line by then.

    Args:
        tab: where it stands.
        find: what there is to choose from.
        **options: of ``gradio.Dropdown``.
    """
    import gradio as gr

    box = gr.Dropdown(list(find()), **{"value": None, **options})
    again = shows_errors(lambda: gr.update(choices=list(find())))
    tab.select(again, None, box, show_progress="hidden")
    return box
