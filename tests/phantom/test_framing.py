"""Phantom pictures in other framings than the whole head."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mersynth.augment.au_warp import au_flow
from mersynth.face.template import HEAD, TIGHT, Framing, FramingChoice, five_points
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import PARTS
from mersynth.phantom.population import write_store
from mersynth.phantom.render import PhantomRenderer, Rendered
from mersynth.phantom.subject import PhantomSubject
from mersynth.phantom.tree import write_tree
from mersynth.phantom.variety import PLAIN
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import StoreError

POSE = torch.tensor([[0.0, 0, 0, 0, 0], [0.016, -0.012, 0.03, 0.05, 0.03]])
EYES = [*PARTS["right_eye"], *PARTS["left_eye"]]


def render(number: int, size: int, framing: Framing, flow: bool = False) -> Rendered:
    """Rest, then a smile and lowered brows of a head that has moved and turned."""
    aus = torch.zeros(2, len(CONDITION_AUS), 2)
    aus[1, [CONDITION_AUS.index(au) for au in (4, 12)]] = 0.5
    renderer = PhantomRenderer(PhantomSubject.sample(number), size, framing=framing)
    return renderer.render(aus, POSE, flow=flow)


@pytest.mark.parametrize(
    ("number", "size", "framing"),
    [
        (700, 32, TIGHT),
        (702, 66, TIGHT),
        (703, 128, TIGHT),
        (700, 48, Framing(0.3, 0.4, 1.0)),
        (702, 48, Framing(0.3, 0.45, 1.2)),
    ],
)
def test_eyes_lie_where_the_framing_has_them(number: int, size: int, framing: Framing) -> None:
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    renderer = PhantomRenderer(PhantomSubject.sample(number), size, framing=framing)
    shown = renderer.render(rest)
    assert shown.frames.shape == (1, 3, size, size)
    right, left, _, *corners = five_points(shown.landmarks[0].numpy() + 0.5)
    assert left[0] - right[0] == pytest.approx(framing.apart * size, abs=0.2)
    assert (left[1] + right[1]) / 2 == pytest.approx(framing.eyes * size, abs=0.2)
    assert (left[0] + right[0]) / 2 == pytest.approx(size / 2, abs=0.2)
    # The mouth is the person's own.
    assert np.mean(corners, 0)[1] == pytest.approx(framing.mouth * size, abs=0.1 * size)


def cut_out(head: Rendered, landmarks: Tensor, size: int) -> Tensor:
    """The part of whole heads that puts their resting landmarks where others are."""
    inner = slice(17, 68)
    both = head.landmarks[0, inner] + 0.5, landmarks[inner] + 0.5
    scale, shift = [], []
    for axis in (0, 1):
        line = np.polyfit(both[1][:, axis], both[0][:, axis], 1)
        scale.append(line[0])
        shift.append(line[1])
    at = (torch.arange(size) + 0.5)[:, None] * torch.tensor(scale) + torch.tensor(shift)
    side = head.frames.shape[-1]
    x, y = torch.meshgrid(at[:, 0], at[:, 1], indexing="xy")
    grid = (torch.stack([x, y], -1) * (2 / side) - 1).float()
    return F.grid_sample(
        head.frames, grid.expand(len(head.frames), -1, -1, -1), align_corners=False
    )


def test_a_tight_picture_is_a_part_of_the_head_s() -> None:
    """At its borders too, where the moved head brings skin into the picture."""
    tight = render(703, 48, TIGHT)
    whole = render(703, 96, HEAD)
    cut = cut_out(whole, tight.landmarks[0], 48)
    off = (tight.frames - cut).abs().mean(1)
    assert off.mean() < 0.015
    border = torch.ones(48, 48, dtype=torch.bool)
    border[3:-3, 3:-3] = False
    assert off[1][border].mean() < 0.02
    wrong = cut_out(whole, tight.landmarks[0] + 3, 48)
    assert (tight.frames - wrong).abs().mean() > 0.03


def test_landmarks_and_flow_are_those_of_the_tight_picture() -> None:
    size = 64
    shown = render(703, size, TIGHT, flow=True)
    assert shown.flow is not None
    inside = [*range(17, 36), 48, 54]
    points = shown.landmarks[0]
    grid = ((points + 0.5) * (2 / size) - 1)[None, None]
    found = F.grid_sample(shown.flow[1:], grid, align_corners=False)[0, :, 0].T
    expected = shown.landmarks[1] - points
    seen = [i for i in inside if bool((points[i] > 1).all() & (points[i] < size - 2).all())]
    assert len(seen) > 15
    assert expected[seen].norm(dim=1).max() > 3
    assert (found - expected)[seen].norm(dim=1).max() < 0.5
    # The pictures move as the flow says.
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    at = torch.stack([x, y], -1) + shown.flow[1].permute(1, 2, 0)
    grid = ((at + 0.5) * (2 / size) - 1)[None]
    back = F.grid_sample(shown.frames[1:], grid, align_corners=False)[0]
    middle = (slice(None), slice(8, -8), slice(8, -8))
    still = (shown.frames[1] - shown.frames[0])[middle].abs().mean()
    assert (back - shown.frames[0])[middle].abs().mean() < 0.5 * still


def test_the_warp_follows_a_tight_face() -> None:
    """Its motion, by the frame's own landmarks, is the rendered one."""
    size = 64
    aus = torch.zeros(2, len(CONDITION_AUS), 2)
    aus[1, [CONDITION_AUS.index(au) for au in (1, 12)]] = 0.4
    subject = PhantomSubject.sample(703)
    errors = []
    for framing in (HEAD, TIGHT):
        shown = PhantomRenderer(subject, size, framing=framing).render(aus, flow=True)
        assert shown.flow is not None
        flow = au_flow(shown.landmarks[:1], aus[None, 1:], (size, size))[0, 0]
        errors.append(
            float((flow - shown.flow[1]).norm(dim=0).mean() / shown.flow[1].norm(dim=0).mean())
        )
    # It is as true as on whole heads, where much of the picture stands still.
    assert errors[1] < 0.25
    assert errors[1] < 2 * errors[0]


def test_stores_record_their_framing(tmp_path: Path) -> None:
    small = {"subjects": 1, "counts": {"happiness": 1}, "max_frames": 3, "image_size": 32}
    head = write_store(tmp_path / "head", **small)  # type: ignore[arg-type]
    tight = write_store(tmp_path / "tight", framing=TIGHT, **small)  # type: ignore[arg-type]
    assert (head.framing, tight.framing) == (HEAD, TIGHT)
    apart = [np.ptp(five_points(np.array(s[0].landmarks[0]))[:2, 0]) / 32 for s in (head, tight)]
    assert apart[0] == pytest.approx(HEAD.apart, rel=0.1)
    assert apart[1] == pytest.approx(TIGHT.apart, rel=0.06)
    with pytest.raises(StoreError, match=r"with framing 'tight .* not 'head"):
        prepare("phantom", out=tight.path, image_size=32)
    same = prepare("phantom", out=tight.path, image_size=32, framing=FramingChoice("tight"))
    assert same.checksum == tight.checksum


def casme2_table(tmp_path: Path) -> Path:
    book = openpyxl.Workbook()
    for row in (
        ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
         "Estimated Emotion"),
        ("01", "EP02_01f", 46, 47, 48, "12", "happiness"),
    ):  # fmt: skip
        book.worksheets[0].append(row)
    table = tmp_path / "CASME2-coding-20140508.xlsx"
    book.save(table)
    return table


def test_a_raw_release_shows_the_head_and_what_is_around_it(tmp_path: Path) -> None:
    table = casme2_table(tmp_path)
    out = write_tree(
        table, "casme2", tmp_path / "raw", image_size=96, release="raw", population=PLAIN
    )  # before a bare wall
    frame = cv2.imread(str(out / "sub01/EP02_01f/img46.jpg")).astype(float)
    assert frame.shape == (96, 128, 3)  # as 480 x 640
    for side in (frame[:32, :8], frame[:32, -8:]):  # the wall
        assert side.std((0, 1)).max() < 8
    # Its middle is a picture of the head.
    renderer = PhantomRenderer(PhantomSubject.sample(201), 96)
    rest = renderer.render(torch.zeros(1, len(CONDITION_AUS), 2)).frames[0]
    picture = 255 * rest.permute(1, 2, 0).numpy()[..., ::-1]
    off = [np.abs(np.roll(frame[:, 16:-16], k, 1) - picture).mean() for k in (0, 12)]
    assert off[0] < 0.7 * off[1]
    store = prepare("casme2", out, tmp_path / "store", image_size=64)
    assert store.meta["header"]["release"] == "raw"
    assert store.framing == HEAD
    eyes = (five_points(np.array(store[0].landmarks[0]))[:2] + 0.5) / 64
    assert np.ptp(eyes[:, 0]) == pytest.approx(HEAD.apart, abs=0.04)
    assert eyes[:, 1].mean() == pytest.approx(HEAD.eyes, abs=0.04)
    with pytest.raises(ValueError, match="release must be one of cropped, raw, got 'roh'"):
        write_tree(table, "casme2", tmp_path / "s", release="roh")  # type: ignore[arg-type]


def test_a_tree_imitates_a_cropped_release(tmp_path: Path) -> None:
    table = casme2_table(tmp_path)
    frames = {}
    for name, choice in (
        ("auto", FramingChoice()),
        ("tight", FramingChoice("tight")),
        ("head", FramingChoice("head")),
        ("numbers", FramingChoice(eyes=0.26 + 3 / 64)),
    ):
        out = write_tree(table, "casme2", tmp_path / name, image_size=64, framing=choice)
        frames[name] = cv2.imread(str(out / "sub01/EP02_01f/reg_img46.jpg")).astype(float)
    np.testing.assert_array_equal(frames["auto"], frames["tight"])
    # 0.047 of 64 pixels lower, nothing else; both have their camera noise.
    lower = np.roll(frames["tight"], 3, axis=0)[8:]
    assert np.abs(frames["numbers"][8:] - lower).mean() < 6
    assert np.abs(frames["numbers"][8:] - frames["tight"][8:]).mean() > 8
    assert np.abs(frames["head"] - frames["tight"]).mean() > 20
    store = prepare("casme2", tmp_path / "auto", tmp_path / "store", image_size=64)
    assert store.framing == TIGHT
    said = FramingChoice(eyes=0.3)
    other = prepare("casme2", tmp_path / "numbers", tmp_path / "n", image_size=64, framing=said)
    assert other.framing == Framing(0.3, 0.58, 0.84)
