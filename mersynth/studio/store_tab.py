"""The tab that plays a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mersynth.store.clip_store import ClipStore
from mersynth.studio.controls import fresh_dropdown
from mersynth.studio.errors import shows_errors
from mersynth.studio.markup import note
from mersynth.studio.playing import (
    CLIPS_A_PAGE,
    EVERY_CLASS,
    EVERYONE,
    chosen,
    count_pages,
    page_of,
)
from mersynth.studio.shelf import Shelf

if TYPE_CHECKING:
    import gradio as gr


def _page_label(count: int) -> str:
    return f"Page, of {count} with {CLIPS_A_PAGE} clips"


def _first_of(store: ClipStore) -> Any:
    """What becomes of the number of the page when there are other clips to show."""
    import gradio as gr

    count = count_pages(store)
    return gr.update(maximum=count, value=1, label=_page_label(count))


def store_tab(tab: gr.Tab, shelf: Shelf) -> None:
    """Fill the tab."""
    import gradio as gr

    with gr.Row(equal_height=True):
        name = fresh_dropdown(tab, shelf.names, label="Store", scale=3, elem_id="play-store")
        emotion = gr.Dropdown([EVERY_CLASS], value=EVERY_CLASS, label="Class", scale=2)
        person = gr.Dropdown([EVERYONE], value=EVERYONE, label="Person", scale=2)
        page = gr.Number(1, minimum=1, precision=0, label=_page_label(1), scale=1)
    said = (
        "Choose a store."
        if shelf.names()
        else (
            "There is no store in ./stores yet: keep clips in the first tab, or make one with "
            "`mersynth generate --source phantom --per-class 2`."
        )
    )
    clips = gr.HTML(note(said), elem_id="play-clips")

    @shows_errors
    def opened(name: str) -> tuple[Any, ...]:
        store = shelf.open(name)
        classes = sorted({clip.emotion for clip in store.clips})
        return (
            gr.update(choices=[EVERY_CLASS, *classes], value=EVERY_CLASS),
            gr.update(choices=[EVERYONE, *store.subjects], value=EVERYONE),
            _first_of(store),
            page_of(store, 1),
        )

    @shows_errors
    def filtered(name: str, emotion: str, person: str) -> tuple[Any, str]:
        store = chosen(shelf.open(name), emotion, person)
        return _first_of(store), page_of(store, 1)

    @shows_errors
    def turned(name: str, emotion: str, person: str, page: int | None) -> str:
        return page_of(chosen(shelf.open(name), emotion, person), page or 1)

    name.input(opened, name, [emotion, person, page, clips])
    for each in (emotion, person):
        each.input(filtered, [name, emotion, person], [page, clips])
    page.input(turned, [name, emotion, person, page], clips)
