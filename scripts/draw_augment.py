"""Draw docs/images/augment_*.png: every augmentation before and after, on phantom faces.

    python scripts/draw_augment.py [--only flip emr ...] [--out docs/images]

Except in clips, expressions are far stronger than micro-expressions. A difference is white where
nothing changed, red where the picture became brighter, blue where darker. Landmarks on the
subject's left side are orange, on the right blue, on the midline white.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from drawing.faces import SIZE, Sample, batch_of, course, posed, recorded, seeded, sides_of
from drawing.panels import Panel, apex, difference, named, panel, sheet, timeline
from PIL import Image
from torch import Tensor

from mersynth import augment
from mersynth.augment.au_warp import au_flow, au_warp
from mersynth.augment.temporal import Jitter
from mersynth.facs.action_units import CONDITION_AUS


def region_replacing() -> Image.Image:
    """Receiver, donor, and three ways to combine them."""
    both = batch_of(posed(5, "1+2+R12"), posed(9, "4+10+25"))
    panels = [named(both, "receiver"), named(both, "donor", 1)]
    feathered = {"boundary": "landmarks", "feather": 0.08}
    ways: dict[str, dict[str, Any]] = {
        "mouth, cut at the middle row": {},
        "mouth, by landmarks, feathered": feathered,
        "eyes, by landmarks, feathered": {"region": "eyes", **feathered},
    }
    for name, options in ways.items():
        mixed = augment.RegionReplacing(p=1, generator=seeded(), **options)(both)
        panels.append(named(mixed, name))
    return sheet(panels)


EMR_CLIPS, EMR_TARGET, EMR_SHOWN = 24, 2.0, (2, 12)  # of each strength; pixels; a clip of each


def emr() -> Image.Image:
    """Histograms of motion, and a micro- and a macro-expression before and after."""
    transform = augment.EMR(EMR_TARGET, reduction="nearest")
    before, after, macro, rows = [], [], [], []
    for strength, shown in zip(("micro", "macro"), EMR_SHOWN, strict=True):
        for number in range(EMR_CLIPS):
            frames, top = recorded(strength, number, EMR_CLIPS)
            at = torch.tensor([top])
            made = transform({"clip": frames[None], "apex_index": at, "strength": [strength]})
            before.append(transform.params["before"])
            after.append(transform.params["after"])
            macro.append(strength == "macro")
            if number == shown:
                rows.append(emr_row(strength, frames, top, made, transform.params))
    motions = torch.cat(before), torch.cat(after), torch.tensor(macro)
    return sheet([augment.motion_histogram(*motions, EMR_TARGET)], *rows)


def emr_row(
    strength: str, frames: Tensor, top: int, made: Sample, drawn: dict[str, Tensor]
) -> list[Panel]:
    """One clip before and after."""
    onset, new = made["onset"][0], made["apex"][0]
    alpha, frame = drawn["alpha"].item(), drawn["frame"].item()
    how = f"apex x {alpha:.1f}" if strength == "micro" else f"frame {frame}"
    shown = {
        f"{strength}: onset": onset,
        f"before: frame {top}": frames[top],
        f"before - onset, x 4\n{drawn['before'].item():.2f} px": difference(frames[top], onset, 4),
        f"after: {how}": new,
        f"after - onset, x 4\n{drawn['after'].item():.2f} px": difference(new, onset, 4),
    }
    return [panel(image, text, width=138) for text, image in shown.items()]


def au_warps() -> Image.Image:
    """A neutral face, warped by AUs, and the phantom's own rendering of them."""
    subject, cells = 7, ("12", "1+2", "4", "L14", "25+26")
    neutral = posed(subject, "")
    face, points = neutral["clip"][:, 0], neutral["landmarks"][:, 0]
    warped, length, truth = [panel(face[0], "neutral face", points[0])], [], []
    for cell in cells:
        curve = 0.9 * sides_of(cell)[None, None]
        frame = au_warp(face, points, curve)[0, 0]
        flow = au_flow(points, curve, (SIZE, SIZE))[0, 0].norm(dim=0)
        warped.append(panel(frame, f"warped: AU {cell}"))
        truth.append(panel(posed(subject, cell)["clip"][0, 1], f"rendered: AU {cell}"))
        heat = difference(flow[None] / flow.max(), torch.zeros(1), 1)
        length.append(panel(heat, f"flow, up to {flow.max():.1f} px"))
    blank = Image.new("RGB", warped[0].size, "white")
    return sheet(warped, [blank, *length], [blank, *truth])


def horizontal_flip() -> Image.Image:
    """A lopsided smile and its mirror image."""
    given = posed(3, "L12+1")
    done = augment.RandomHorizontalFlip(p=1)(given)
    return sheet([named(given, "before", marks=True), named(done, "after", marks=True)])


def half_face_mirror() -> Image.Image:
    """Either half kept."""
    given = posed(3, "L12+1")
    panels = [named(given, "before", marks=True)]
    for side in ("left", "right"):
        done = augment.HalfFaceMirror(side, axis="landmarks", p=1)(given)
        panels.append(named(done, f"the subject's {side} half kept", marks=True))
    return sheet(panels)


def mixup() -> Image.Image:
    """Two samples of a class, and both mixed."""
    both = batch_of(posed(5, "12"), posed(7, "6+12"))
    transform = augment.MixUp(p=1, generator=seeded())
    mixed = transform(both)
    share, column = transform.params["share"][0].item(), CONDITION_AUS.index(6)
    panels = [
        apex(sample, f"{name}\nAU 6 at {sample['aus'][i, -1, column]:.2f}", i)
        for name, sample, i in (
            ("first", both, 0),
            ("second", both, 1),
            (f"{share:.2f} first + {1 - share:.2f} second", mixed, 0),
        )
    ]
    return sheet(panels)


def affine() -> Image.Image:
    """Onset and apex moved together."""
    given = posed(9, "1+2+12", 0.5)
    move = augment.RandomAffine((9, 9), 0.05, 1.05, generator=seeded())
    rows = []
    for name, sample in (("before", given), ("after", move(given))):
        onset, top = sample["clip"][0]
        marks = sample["landmarks"][0]
        rows.append([panel(onset, f"{name}: onset", marks[0]), panel(top, "apex", marks[1]),
                     panel(difference(top, onset, 3), "difference x 3")])  # fmt: skip
    return sheet(*rows)


def crop() -> Image.Image:
    """Shifted by whole pixels, or cut to another size."""
    given = posed(9, "12")
    panels = [apex(given, "before", marks=True)]
    for text, transform in (
        ("padding=15", augment.RandomCrop(15, generator=seeded())),
        ('padding_mode="edge"', augment.RandomCrop(15, None, "edge", generator=seeded())),
        ("padding=0, size=(96, 96)", augment.RandomCrop(0, (96, 96), generator=seeded())),
    ):
        panels.append(apex(transform(given), text, marks=True))
    return sheet(panels)


def erasing() -> Image.Image:
    """One rectangle for the whole clip, black or of the mean colour."""
    given = posed(3, "4+12")
    painted = {v: augment.RandomErasing(value=v, p=1, generator=seeded()) for v in (0.0, "mean")}
    done = {value: transform(given)["clip"][0] for value, transform in painted.items()}
    shown = {"value=0, onset": done[0.0][0], "value=0, apex": done[0.0][1],
             'value="mean", apex': done["mean"][1]}  # fmt: skip
    return sheet([apex(given, "before"), *(panel(face, name) for name, face in shown.items())])


def color_jitter() -> Image.Image:
    """Four draws, each the same for onset and apex."""
    given = posed(9, "12")
    four = {key: value.expand(4, *value.shape[1:]) for key, value in given.items()}
    transform = augment.ColorJitter(0.3, 0.3, 0.4, 0.04, generator=seeded())
    done, drawn = transform(four), transform.params
    panels = [apex(given, "before")]
    for i in range(4):
        text = [f"{name} {values[i]:.2f}" for name, values in drawn.items() if name != "on"]
        panels.append(apex(done, "\n".join(text), i))
    return sheet(panels)


def sensor_noise() -> Image.Image:
    """Two frames that were equal."""
    still = posed(1, "")["clip"]
    a, b = augment.SensorNoise(5e-4, 0.01, p=1, generator=seeded())(still)[0]
    return sheet(
        [panel(still[0, 0], "before: two equal frames"), panel(a, "after: the first"),
         panel(b, "after: the second"), panel(difference(b, a, 6), "their difference x 6")]
    )  # fmt: skip


def jpeg() -> Image.Image:
    """Three qualities, and what each changes."""
    face = posed(3, "12")["clip"][:, 1]
    panels = [panel(face[0], "before")]
    lower = [Image.new("RGB", panels[0].size, "white")]
    for quality in (95, 50, 10):
        done = augment.RandomJPEG((quality, quality), p=1)(face)[0]
        panels.append(panel(done, f"quality {quality}"))
        lower.append(panel(difference(done, face[0], 6), "difference x 6"))
    return sheet(panels, lower)


def temporal_resample() -> Image.Image:
    """A clip at even steps, and half of it at half the speed."""
    top, count = 17, 41
    frames, _ = course(7, "6+12", count, 0, top)
    given = {"clip": frames[None], "aus": places(1, count), "apex_index": torch.tensor([top])}
    rows = []
    for keep in (1.0, 0.5):
        done = augment.TemporalResample(8, keep, generator=seeded(3))(given)
        came, strip = count * done["aus"][0, :, 0], done["clip"][0]
        shown, moved = [], []
        for i, frame in enumerate(strip):
            at_apex = i == done["apex_index"].item()
            shown.append(panel(frame, f"frame {came[i]:.1f}", width=96, mark=at_apex))
            text = "" if i else "difference x 6"
            moved.append(panel(difference(frame, strip[0], 6), text, width=96))
        rows += [shown, moved]
    return sheet(*rows)


def phases_apart() -> Image.Image:
    """A clip at even steps, its rise, and its fall reversed in time."""
    top, count, shown = 17, 41, 7
    frames, _ = course(7, "6+12", count, 0, top)
    given = {"clip": frames[None], "aus": places(1, count), "apex_index": torch.tensor([top])}
    at = torch.linspace(0, count - 1, shown).round().long()
    rows = [[panel(frames[i], f"frame {i}", width=96, mark=i == top) for i in at.tolist()]]
    for falling in (False, True):
        params = {"on": torch.tensor([True]), "falling": torch.tensor([falling])}
        done = augment.PhasesApart()(given, params=params)
        came, strip = count * done["aus"][0, at, 0], done["clip"][0, at]
        name = "fall" if falling else "rise"
        rows.append(
            [
                panel(frame, f"{name}: frame {came[i]:.1f}", width=96, mark=i == shown - 1)
                for i, frame in enumerate(strip)
            ]
        )
        rows.append([panel(difference(frame, strip[0], 6), "", width=96) for frame in strip])
    return sheet(*rows)


def places(clips: int, frames: int) -> Tensor:
    """(B, T, 20) in [0, 1): frame numbers over T, passed as AUs to track the frames."""
    return (torch.arange(frames) / frames)[None, :, None].expand(clips, -1, 20)


def onset_apex_pair() -> Image.Image:
    """A clip's AU curve, and which onsets and apexes the three rules draw."""
    onset, top, count, draws = 6, 34, 61, 400
    frames, strength = course(7, "6+12", count, onset, top)
    given = {
        "clip": torch.zeros(draws, count, 1, 1, 1),
        "aus": places(draws, count),
        "onset_index": torch.full((draws,), onset),
        "apex_index": torch.full((draws,), top),
    }
    lanes, row = {}, []
    shown = [("annotated", onset, top)]
    for rule in get_args(Jitter):
        done = augment.OnsetApexPair(rule, generator=seeded())(given)["aus"][..., 0]
        drawn = (done * count).round().long()  # (draws, 2)
        lanes[rule] = [drawn[:, 0].bincount(minlength=count), drawn[:, 1].bincount(minlength=count)]
        shown.append((rule, *drawn[0].tolist()))
    for name, first, last in shown[:2]:
        row += [
            panel(frames[first], f"{name}: frame {first}", width=114),
            panel(frames[last], f"frame {last}", width=114),
            panel(difference(frames[last], frames[first], 6), "difference x 6", width=114),
        ]
    return sheet([timeline(strength, (onset, top), lanes)], row)


def overview() -> Image.Image:
    """Two samples, and six augmentations of the first."""
    both = batch_of(posed(5, "1+2+R12"), posed(9, "4+10+25"))
    calls: dict[str, augment.Augmentation] = {
        "RegionReplacing": augment.RegionReplacing(p=1, boundary="landmarks", feather=0.08),
        "HalfFaceMirror": augment.HalfFaceMirror("right", p=1),
        "RandomHorizontalFlip": augment.RandomHorizontalFlip(p=1),
        "RandomAffine": augment.RandomAffine((8, 8), 0.02, 1.1, generator=seeded()),
        "RandomErasing": augment.RandomErasing((0.05, 0.1), p=1, generator=seeded()),
    }
    panels = [named(both, "a sample"), named(both, "another of its class", 1)]
    panels += [named(transform(both), name) for name, transform in calls.items()]
    neutral, curve = posed(7, ""), 0.9 * sides_of("6+12")[None, None]
    warped = au_warp(neutral["clip"][:, 0], neutral["landmarks"][:, 0], curve)[0, 0]
    panels.append(panel(warped, "AUWarp of a neutral face\nAU 6 + 12"))
    return sheet(panels[:4], panels[4:])


PICTURES: dict[str, Callable[[], Image.Image]] = {
    picture.__name__: picture
    for picture in (
        *(overview, region_replacing, emr, au_warps, half_face_mirror, mixup, horizontal_flip),
        *(affine, crop, erasing, color_jitter, sensor_noise, jpeg),
        *(temporal_resample, onset_apex_pair, phases_apart),
    )
}


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        # The last bits are noise to the eye, and most of the file.
        pixels = np.asarray(PICTURES[name]().convert("RGB")) & 0xFC
        Image.fromarray(pixels).save(arguments.out / f"augment_{name}.png", optimize=True)


if __name__ == "__main__":
    main()
