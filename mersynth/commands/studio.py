"""``mersynth studio``: the page on which faces move by AU sliders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def studio(
    store: Annotated[
        list[Path] | None,
        typer.Option("--store", help="A store to offer beside those in ./stores; repeatable."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of a trained AU-ICGAN. [the shipped one]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="[the first free one from 7860]")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
) -> None:
    """Open a page in which faces move by AU sliders, stores play, and runs are explained.

    It needs Gradio: pip install 'mersynth[studio]'. It listens on this machine alone, and sends
    nothing elsewhere.
    """
    from mersynth.gan.checkpoint import SHIPPED
    from mersynth.studio.page import serve

    serve(port, host, store or [], checkpoint or SHIPPED)
