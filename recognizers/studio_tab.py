"""The tab of ``mersynth studio`` that shows a run's report and explains its clips."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mersynth import paths
from mersynth.studio.controls import fresh_dropdown
from mersynth.studio.errors import shows_errors
from mersynth.studio.markup import note
from recognizers.explain.clip_maps import MapMethod
from recognizers.report.run import Run
from recognizers.runs.files import RESULTS, RunError

if TYPE_CHECKING:
    import gradio as gr

METHODS: tuple[MapMethod, ...] = get_args(MapMethod)
"""How a clip can be explained."""


def run_names() -> list[str]:
    """The finished runs in ``./runs``, as they are chosen on the page."""
    return sorted(str(file.parent) for file in paths.run_path("").glob(f"*/{RESULTS}"))


def report_of(name: str | None) -> tuple[str, list[str]]:
    """A run's report as HTML, and the ids of the clips that it tested.

    Raises:
        RunError: if there is no such run in ``./runs``, or it cannot be read.
    """
    path = _path_of(name)
    run = Run.open(path)
    page = path / "report.html"
    if not page.is_file():
        raise RunError(f"{path} has no report; `recognizers report {path}` writes it")
    clips = dict.fromkeys(clip for record in run.folds for clip in record.clips)
    return framed(page), sorted(clips)


def explanation_of(name: str | None, clip: str | None, method: MapMethod, folder: Path) -> str:
    """What the fold that tested a clip looked at, as HTML.

    Args:
        name: of :func:`run_names`.
        clip: id of a tested clip.
        method: of :data:`METHODS`.
        folder: to write to.

    Raises:
        RunError: if there is no such run, its folds kept no weights, what it was made of is gone or
            has changed, or its model has no such explanation.
        ValueError: if no clip is named, or the run has not tested it.
    """
    from recognizers.explain import explain

    path = _path_of(name)
    if not clip:
        raise ValueError("choose a clip first: those that the run tested are in the list")
    with tempfile.TemporaryDirectory(dir=folder) as own:
        return framed(explain(path, method, Path(own), [clip]))


def framed(page: Path) -> str:
    """A page within the page: its style stays its own, and it runs no script."""
    text = escape(page.read_text(encoding="utf-8"))
    return (
        f'<iframe class="report" sandbox="" title="{escape(page.stem)}" srcdoc="{text}"></iframe>'
    )


def _path_of(name: str | None) -> Path:
    if name not in run_names():
        raise RunError("choose a run from the list: those in ./runs that are finished")
    return Path(str(name))


def studio_tab(tab: gr.Tab, folder: Path) -> None:
    """Fill the tab; see :data:`mersynth.studio.page.Tab`."""
    import gradio as gr

    with gr.Row(equal_height=True):
        run = fresh_dropdown(tab, run_names, label="Run", scale=3, elem_id="run")
        clip = gr.Dropdown([], label="Clip", scale=3, elem_id="run-clip")
        method = gr.Dropdown(list(METHODS), value="grad-cam", label="How", scale=2)
        button = gr.Button("Explain the clip", scale=1, elem_id="explain")
    said = (
        "Choose a run."
        if run_names()
        else (
            "There is no finished run in ./runs yet; `recognizers loso --model ststnet_tiny "
            "--store stores/phantom keep_weights=true` makes one whose clips can be explained."
        )
    )
    explained = gr.HTML("", elem_id="explained")
    shown = gr.HTML(note(said), elem_id="report")

    def opened(name: str) -> tuple[str, Any, str]:
        page, clips = report_of(name)
        return page, gr.update(choices=clips, value=None), ""

    run.input(shows_errors(opened), run, [shown, clip, explained])
    button.click(
        shows_errors(lambda name, clip, method: explanation_of(name, clip, method, folder)),
        [run, clip, method],
        explained,
    )
