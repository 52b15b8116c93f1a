"""The page: its tabs, and how it is served."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mersynth.disk.scratch import scratch_folder
from mersynth.gan.checkpoint import SHIPPED
from mersynth.studio.shelf import Shelf

if TYPE_CHECKING:
    import gradio as gr

logger = logging.getLogger(__name__)

Tab = Callable[["gr.Tab", Path], None]
"""Fills a ``gradio.Tab``, within which it is called. It may write into the folder that it is given:
the page's own, which goes with it."""

TABS = "mersynth.studio"
"""Entry points of this group are tabs that other packages add, called as the entry point."""

LARGEST_UPLOAD = 30 * 2**20  # bytes
_STYLE = Path(__file__).with_name("studio.css")


class StudioError(Exception):
    """The studio cannot be opened."""


def found_tabs() -> dict[str, Tab]:
    """The tabs that installed packages add (:data:`TABS`), by title."""
    return {point.name: point.load() for point in metadata.entry_points(group=TABS)}


def build(
    folder: Path, shelf: Shelf, checkpoint: Path = SHIPPED, tabs: Mapping[str, Tab] | None = None
) -> gr.Blocks:
    """The page, not served yet.

    Args:
        folder: what it may write to.
        shelf: the stores that it offers.
        checkpoint: folder of the AU-ICGAN.
        tabs: further ones, by title; None: :func:`found_tabs`.
    """
    import gradio as gr

    from mersynth.studio.animate_tab import animate_tab
    from mersynth.studio.store_tab import store_tab

    with gr.Blocks(title="mersynth studio", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown(
            "# mersynth studio\nMove a face by its action units, and keep what it shows as a "
            "synthetic micro-expression. All of it stays on this machine."
        )
        with gr.Tab("Animate a face"):
            animate_tab(folder, shelf, checkpoint)
        with gr.Tab("Play a store") as tab:
            store_tab(tab, shelf)
        for title, fill in (found_tabs() if tabs is None else tabs).items():
            with gr.Tab(title) as tab:
                fill(tab, folder)
    return page


def serve(
    port: int | None = None,
    host: str = "127.0.0.1",
    stores: Sequence[Path] = (),
    checkpoint: Path = SHIPPED,
    *,
    tabs: Mapping[str, Tab] | None = None,
    block: bool = True,
) -> tuple[str, Callable[[], None]]:
    """Serve the page until it is interrupted.

    Nothing but the page's own temporary folder is served, nothing is sent elsewhere, and an upload
    may have 30 MB.

    Args:
        port: None takes the first free one from 7860.
        host: address to listen on; the default is reached from this machine alone.
        stores: further stores to offer, beside those in ``./stores``.
        checkpoint: folder of the AU-ICGAN.
        tabs: see :func:`build`.
        block: False returns at once.

    Returns:
        The page's address, and what ends it.

    Raises:
        StudioError: if Gradio is not installed.
        StoreError: if a named store is none.
        OSError: if the port is taken.
    """
    # Read when Gradio is imported: it asks its makers for its newest version else.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio as gr  # noqa: F401
    except ImportError as error:
        raise StudioError(
            "the studio needs Gradio, which is not installed; "
            "pip install 'mersynth[studio]' brings it"
        ) from error
    shelf = Shelf(stores)
    with ExitStack() as ending:
        folder = ending.enter_context(scratch_folder())
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        page = build(folder, shelf, checkpoint, tabs)
        _, address, _ = page.queue(default_concurrency_limit=1).launch(**_options(host, port))
        ending.callback(page.close, verbose=False)
        logger.info("the studio is at %s ; Ctrl+C ends it", address)
        end = ending.pop_all().close
    if block:
        try:
            page.block_thread()
        finally:
            end()
    return address, end


def _options(host: str, port: int | None) -> dict[str, Any]:
    import gradio as gr

    return {
        "server_name": host,
        "server_port": port,
        "prevent_thread_lock": True,
        "share": False,
        "quiet": True,
        "show_error": True,
        "max_file_size": LARGEST_UPLOAD,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],
        # A font of the machine's own: others would be fetched.
        "theme": gr.themes.Base(font="system-ui", font_mono="ui-monospace"),
        "css_paths": _STYLE,
    }
