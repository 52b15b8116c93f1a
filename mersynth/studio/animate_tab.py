"""The tab that animates a face."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mersynth.studio.controls import fresh_dropdown
from mersynth.studio.errors import shows_errors
from mersynth.studio.faces import TITLES, Face, phantom_face, photo_faces, store_face
from mersynth.studio.keeping import make_clip, write_film, write_store
from mersynth.studio.looking import VIEWS
from mersynth.studio.motion import MICRO, Wish, peaks_of, peaks_of_clip
from mersynth.studio.session import (
    BUILT_IN,
    Session,
    clip_to_follow,
    clips_to_follow,
    films,
    prototype_choices,
    stills,
)
from mersynth.studio.shelf import Shelf
from mersynth.studio.sliders import Sliders, add_sliders, parted, values_of

_FIRST = 3  # phantom subject that the page opens with
_FIRST_CELL = "6+12"
_NEVER_KEPT = "No clip is kept yet."


@dataclass(frozen=True, eq=False)
class _Page:
    """The components of the tab that several events share.

    Attributes:
        sessions: what each visitor's page holds, by its key.
        start: what a new one holds.
        key: of the visitor's page, which itself holds nothing else.
        strength, views, sliders: say what is wished.
        shown, playing: show it.
    """

    sessions: dict[str, Session]
    start: Face
    key: Any
    strength: Any
    views: Any
    sliders: Sliders
    shown: Any
    playing: Any

    @property
    def state(self) -> list[Any]:
        """Inputs of every event that shows something."""
        return [self.key, self.strength, self.views, *self.sliders.all]

    def session(self, key: str) -> Session:
        """What a visitor's page holds."""
        return self.sessions.setdefault(key, Session(self.start))

    def show(self, key: str, strength: float, views: Sequence[str], *sliders: Any) -> str:
        """The pictures."""
        session = self.session(key)
        return stills(session, session.wish(strength, sliders), views)

    def play(self, key: str, strength: float, views: Sequence[str], *sliders: Any) -> str:
        """The films."""
        session = self.session(key)
        return films(session, session.wish(strength, sliders))

    def by_hand(self, see: Callable[..., str]) -> Callable[..., str]:
        """Pictures or films after an AU was moved by hand: from now on no clip is followed."""

        def seen(key: str, *state: Any) -> str:
            self.session(key).followed = None
            return see(key, *state)

        return shows_errors(seen)

    def then_look(self, event: Any) -> None:
        """Show pictures and films after an event that went well."""
        pictures = event.success(
            shows_errors(self.show), self.state, self.shown, show_progress="hidden"
        )
        pictures.success(shows_errors(self.play), self.state, self.playing, show_progress="hidden")


def animate_tab(folder: Path, shelf: Shelf, checkpoint: Path) -> None:
    """Fill the tab; the face that it opens with is ready before the page is served."""
    import gradio as gr

    face, first = phantom_face(_FIRST, checkpoint), peaks_of(_FIRST_CELL)
    opened, wish = Session(face), Wish(first)
    sessions: dict[str, Session] = {}
    key = gr.State(lambda: uuid.uuid4().hex, delete_callback=lambda key: sessions.pop(key, None))
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            add_faces = _face_controls(shelf)
            add_motions, strength = _motion_controls(shelf)
            sliders = add_sliders(first)
        with gr.Column(scale=8, min_width=560):
            choices = [(title, name) for name, title in VIEWS.items()]
            views = gr.CheckboxGroup(choices, value=list(VIEWS), show_label=False, elem_id="views")
            shown = gr.HTML(stills(opened, wish, list(VIEWS)), elem_id="stills")
            playing = gr.HTML(films(opened, wish), elem_id="films")
            emotion, add_keeping = _keeping_controls(folder, face)
    page = _Page(sessions, face, key, strength, views, sliders, shown, playing)
    _connect_sliders(page)
    add_faces(page, checkpoint, emotion)
    add_motions(page)
    add_keeping(page)


def _connect_sliders(page: _Page) -> None:
    import gradio as gr

    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    # A picture follows the hand: the queue, which takes turns, would keep it waiting.
    at_once = quiet | {"queue": False}
    hands, strength = page.sliders.every, page.strength
    gr.on([s.input for s in hands], page.by_hand(page.show), page.state, page.shown, **at_once)
    gr.on(
        [strength.input, page.views.input],
        shows_errors(page.show),
        page.state,
        page.shown,
        **at_once,
    )
    # A film takes as long as many pictures: it waits until the hand lets go.
    gr.on([s.release for s in hands], page.by_hand(page.play), page.state, page.playing, **quiet)
    strength.release(shows_errors(page.play), page.state, page.playing, **quiet)
    every = page.sliders.all
    page.then_look(page.sliders.apart.input(shows_errors(lambda *v: parted(v)), every, every))


def _face_controls(shelf: Shelf) -> Callable[[_Page, Path, Any], None]:
    import gradio as gr

    with gr.Tabs():
        with gr.Tab("Phantom"):
            number = gr.Slider(
                0,
                199,
                _FIRST,
                step=1,
                label="Person",
                elem_id="phantom",
                info="A rendered head: nobody's face",
            )
        with gr.Tab("Photo"):
            photo = gr.Image(
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                label="Photo",
                show_label=False,  # it would lie on the face
                placeholder="Drop a photo of a face here, or choose or take one",
                height=290,  # less, and what asks for the camera would cover the other buttons
                elem_id="photo",
                # A mirrored picture would swap the person's left and right.
                webcam_options=gr.WebcamOptions(mirror=False),
            )
            # The file as it is: Gradio would open it first, and fail in its own words.
            photo.preprocess = lambda file: file and file.path
            which = gr.Radio(
                [], label="Several faces, the largest first", visible=False, elem_id="which"
            )
        with gr.Tab("Store") as tab:
            name = fresh_dropdown(tab, shelf.names, label="Store of real clips")
            person = gr.Dropdown([], label="Person")

    def connect(page: _Page, checkpoint: Path, emotion: Any) -> None:
        def face_chosen(key: str, face: Face) -> Any:
            page.session(key).face = face
            labels = face.emotions
            chosen = "happiness" if "happiness" in labels else labels[0]
            return gr.update(choices=list(labels), value=chosen)

        def photo_dropped(key: str, path: str | None) -> Any:
            if path is None:  # it was taken away
                return gr.update(), gr.update(visible=False)
            faces = page.session(key).photo = photo_faces(Path(path), checkpoint)
            numbers = [str(i + 1) for i in range(len(faces))]
            several = gr.update(choices=numbers, value="1", visible=len(faces) > 1)
            return face_chosen(key, faces[0]), several

        def one_of_photo(key: str, number: str) -> Any:
            return face_chosen(key, page.session(key).photo[int(number) - 1])

        def on(trigger: Any, find: Callable[..., Face], inputs: list[Any]) -> None:
            def event(key: str, *chosen: Any) -> Any:
                return face_chosen(key, find(*chosen))

            page.then_look(trigger(shows_errors(event), [page.key, *inputs], emotion))

        on(number.release, lambda n: phantom_face(int(n), checkpoint), [number])
        dropped = shows_errors(photo_dropped)
        page.then_look(photo.change(dropped, [page.key, photo], [emotion, which]))
        page.then_look(which.input(shows_errors(one_of_photo), [page.key, which], emotion))
        on(person.input, lambda n, p: store_face(shelf.open(n), p, checkpoint), [name, person])
        name.input(
            shows_errors(lambda n: gr.update(choices=list(shelf.open(n).subjects), value=None)),
            name,
            person,
        )

    return connect


def _motion_controls(shelf: Shelf) -> tuple[Callable[[_Page], None], Any]:
    import gradio as gr

    strength = gr.Slider(
        0,
        2,
        1,
        step=0.02,
        label="Strength",
        elem_id="strength",
        info=f"{MICRO} times the sliders is a micro-expression; a followed clip is as it was at 1",
    )
    with gr.Tabs():
        with gr.Tab("Emotion"):
            emotion = gr.Dropdown(
                prototype_choices(), value=None, label="AUs that show an emotion", elem_id="emotion"
            )
        with gr.Tab("AU cell"):
            cell = gr.Textbox(
                label="As a coder writes it, then Enter",
                placeholder="1B+2C, L14, 4+7, 6+12D",
                elem_id="cell",
            )
        with gr.Tab("Follow a clip") as tab:
            name = fresh_dropdown(
                tab, lambda: [BUILT_IN, *shelf.names()], value=BUILT_IN, label="Store"
            )
            clip = gr.Dropdown(
                clips_to_follow(shelf, BUILT_IN), value=None, label="Clip", elem_id="follow"
            )
    still = gr.Button("All at rest", size="sm", elem_id="rest")

    def connect(page: _Page) -> None:
        def follow(key: str, name: str, clip: str, apart: bool) -> list[Any]:
            item = clip_to_follow(shelf, name, clip)
            page.session(key).followed = item
            return values_of(peaks_of_clip(item), apart)

        def apply(key: str, cell: str, apart: bool) -> list[Any]:
            peaks = peaks_of(cell) if cell else Wish().peaks
            page.session(key).followed = None
            return values_of(peaks, apart)

        apart, every = page.sliders.apart, page.sliders.all
        for trigger, given in ((emotion.input, emotion), (cell.submit, cell)):
            page.then_look(trigger(shows_errors(apply), [page.key, given, apart], every))
        rest = still.click(
            shows_errors(lambda key, apart: apply(key, "", apart)), [page.key, apart], every
        )
        page.then_look(rest)
        page.then_look(clip.input(shows_errors(follow), [page.key, name, clip, apart], every))
        name.input(
            shows_errors(lambda n: gr.update(choices=clips_to_follow(shelf, n), value=None)),
            name,
            clip,
        )

    return connect, strength


def _keeping_controls(folder: Path, face: Face) -> tuple[Any, Callable[[_Page], None]]:
    import gradio as gr

    with gr.Row(equal_height=True):
        by = gr.Radio(
            [(title, name) for name, title in TITLES.items()],
            value="icgan",
            label="Made by",
            elem_id="by",
        )
        emotion = gr.Dropdown(
            list(face.emotions), value="happiness", label="Label of the clip", elem_id="label"
        )
        name = gr.Textbox("studio", label="New store in ./stores", elem_id="store-name")
    with gr.Row():
        keep = gr.Button("Keep this clip", variant="primary", elem_id="keep")
        save = gr.Button("Save what is kept as a store", elem_id="save")
        mp4 = gr.Button("MP4", elem_id="mp4", min_width=80)
        gif = gr.Button("GIF", elem_id="gif", min_width=80)
    said = gr.Markdown(_NEVER_KEPT, elem_id="said")
    file = gr.File(label="Download", visible=False, elem_id="file")

    def connect(page: _Page) -> None:
        def made(by: str, emotion: str, key: str, strength: float, _: Any, *sliders: Any) -> Any:
            session = page.session(key)
            makers = {each.name: each for each in session.face.generators}
            return make_clip(session.face, makers[by], session.wish(strength, sliders), emotion)

        def kept(by: str, emotion: str, key: str, *state: Any) -> str:
            session = page.session(key)
            session.made.append(made(by, emotion, key, *state))
            last = session.made[-1].clip
            count = len(session.made)
            return f"{count} kept, the last: {last.emotion}, AU {last.aus}, face {last.subject}."

        def saved(name: str, key: str) -> str:
            session = page.session(key)
            store = write_store(name.strip(), session.made)
            session.made.clear()
            return f"Saved: `{store.path}`, {len(store)} clips. The second tab plays it."

        def written(suffix: str, *state: Any) -> Any:
            clip = made(*state)
            path = (
                folder / f"{clip.clip.subject}_{clip.clip.emotion}_{uuid.uuid4().hex[:6]}{suffix}"
            )
            return gr.update(value=str(write_film(clip, path)), visible=True)

        inputs = [by, emotion, *page.state]
        keep.click(shows_errors(kept), inputs, said)
        save.click(shows_errors(saved), [name, page.key], said)
        mp4.click(shows_errors(lambda *state: written(".mp4", *state)), inputs, file)
        gif.click(shows_errors(lambda *state: written(".gif", *state)), inputs, file)

    return emotion, connect
