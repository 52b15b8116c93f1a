"""MagNet: its conventions, the published layout, its training data, and the shipped weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from mersynth.motion.magnify.checkpoint import CARD, SHIPPED, MagNetError, load_magnet, save_magnet
from mersynth.motion.magnify.convert import convert_published
from mersynth.motion.magnify.magnet import MagNet, magnify_clip
from mersynth.motion.magnify.pairs import Pairs, perturb, texture_pairs
from mersynth.motion.magnify.phantom_pairs import phantom_pairs
from mersynth.motion.magnify.train_magnet import MagNetTrainer, MagNetTraining
from tests.script_modules import script


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def random_model() -> MagNet:
    torch.manual_seed(0)
    return MagNet().eval()


@pytest.fixture
def frames() -> Tensor:
    return torch.rand(2, 2, 3, 24, 32, generator=generator())


def test_size_is_the_papers(random_model: MagNet) -> None:
    # Counted by hand from the authors' TensorFlow model: encoder 149,808, manipulator 77,824,
    # decoder 700,512.
    counts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in random_model.named_children()
    }
    assert counts == {
        "encoder": 7 * 7 * 3 * 16 + 9 * 16 * 32 + 9 * 32 * 32 * (2 * 3 + 2 * (1 + 2 * 2)),
        "manipulator": 32 * 32 * (49 + 9 + 2 * 9),
        "decoder": 9 * 32 * 32 + 9 * 2 * 9 * 64 * 64 + 9 * 64 * 32 + 49 * 32 * 3,
    }


def test_any_size_is_padded_by_reflection_and_cut_again(random_model: MagNet) -> None:
    first, second = torch.rand(2, 1, 3, 21, 34, generator=generator())
    made = random_model(first, second, 3.0)
    assert made.shape == second.shape
    padded = (F.pad(x, (0, 2, 0, 3), mode="reflect") for x in (first, second))
    torch.testing.assert_close(made, random_model(*padded, 3.0)[..., :21, :34])


def test_alpha_one_forgets_the_first_frame(random_model: MagNet, frames: Tensor) -> None:
    torch.testing.assert_close(
        random_model(frames[0], frames[1], 1.0), random_model(frames[1], frames[1], 7.0)
    )


def test_alpha_may_differ_within_a_batch(random_model: MagNet, frames: Tensor) -> None:
    alpha = torch.tensor([2.0, 8.0])
    together = random_model(frames[0], frames[1], alpha)
    for i, value in enumerate(alpha.tolist()):
        alone = random_model(frames[0, i : i + 1], frames[1, i : i + 1], value)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-4)


def test_clip_modes_choose_the_frame_compared_with(random_model: MagNet) -> None:
    clip = torch.rand(1, 3, 3, 16, 16, generator=generator())
    static = magnify_clip(random_model, clip, 4.0)
    dynamic = magnify_clip(random_model, clip, 4.0, reference="previous")
    for made in (static, dynamic):
        torch.testing.assert_close(made[:, 0], random_model(clip[:, 0], clip[:, 0], 1.0))
        torch.testing.assert_close(made[:, 1], random_model(clip[:, 0], clip[:, 1], 4.0))
    torch.testing.assert_close(static[:, 2], random_model(clip[:, 0], clip[:, 2], 4.0))
    torch.testing.assert_close(dynamic[:, 2], random_model(clip[:, 1], clip[:, 2], 4.0))


@pytest.mark.parametrize(
    ("size", "alpha", "message"),
    [
        ((16, 16), 0.0, "1 or more"),
        ((16, 16), float("nan"), "finite"),
        ((16, 16), torch.ones(3), r"shape \(1,\)"),
        ((8, 16), 2.0, "8 x 16"),
    ],
)
def test_errors_name_the_value(
    random_model: MagNet, size: tuple[int, int], alpha: float | Tensor, message: str
) -> None:
    frame = torch.zeros(1, 3, *size)
    with pytest.raises(ValueError, match=message):
        random_model(frame, frame, alpha)


def test_clip_and_reference_are_checked(random_model: MagNet) -> None:
    with pytest.raises(ValueError, match="onset, previous"):
        magnify_clip(random_model, torch.zeros(1, 2, 3, 16, 16), 2.0, "apex")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(B, T, 3, H, W\)"):
        magnify_clip(random_model, torch.zeros(2, 3, 16, 16), 2.0)
    with pytest.raises(ValueError, match="first and second"):
        random_model(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 20), 2.0)


def port_shapes() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Names and shapes of the published PyTorch port's state dict."""

    def blocks(name: str, count: int, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for i in range(count):
            for part in ("cba_1", "cba_2"):
                yield f"{name}.{i}.{part}", (width, width, 3, 3)

    layers: list[tuple[str, tuple[int, ...]]] = [
        ("encoder.cba_1", (16, 3, 7, 7)),
        ("encoder.cba_2", (32, 16, 3, 3)),
        *blocks("encoder.resblks", 3, 32),
        ("encoder.texture_cba", (32, 32, 3, 3)),
        *blocks("encoder.texture_resblks", 2, 32),
        ("encoder.motion_cba", (32, 32, 3, 3)),
        *blocks("encoder.motion_resblks", 2, 32),
        ("manipulator.g", (32, 32, 3, 3)),
        ("manipulator.h_conv", (32, 32, 3, 3)),
        ("manipulator.h_resblk.cba_1", (32, 32, 3, 3)),
        ("manipulator.h_resblk.cba_2", (32, 32, 3, 3)),
        *blocks("decoder.resblks", 9, 64),
        ("decoder.cba_1", (32, 64, 3, 3)),
        ("decoder.cba_2", (3, 32, 7, 7)),
    ]
    for name, shape in layers:
        yield f"{name}.conv2d.weight", shape  # type: ignore[misc]


@pytest.fixture(scope="module")
def port() -> dict[str, Tensor]:
    g = generator(3)
    return {
        name: torch.randn(shape, generator=g) / (shape[1] * shape[2] * shape[3]) ** 0.5
        for name, shape in port_shapes()
    }


def port_forward(state: dict[str, Tensor], first: Tensor, second: Tensor, alpha: float) -> Tensor:
    """What the port computes, in functions on its own state dict; frames in [-1, 1]."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv2d.weight"]
        reach = weight.shape[-1] // 2
        return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), weight, stride=stride)

    def block(x: Tensor, name: str) -> Tensor:
        return x + conv(conv(x, f"{name}.cba_1").relu(), f"{name}.cba_2")

    def chain(x: Tensor, name: str, count: int) -> Tensor:
        for i in range(count):
            x = block(x, f"{name}.{i}")
        return x

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        x = conv(conv(x, "encoder.cba_1").relu(), "encoder.cba_2", 2).relu()
        x = chain(x, "encoder.resblks", 3)
        texture = conv(x, "encoder.texture_cba", 2).relu()
        motion = conv(x, "encoder.motion_cba").relu()
        return (
            chain(texture, "encoder.texture_resblks", 2),
            chain(motion, "encoder.motion_resblks", 2),
        )

    def twice(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2)

    _, motion_a = encode(first)
    texture, motion_b = encode(second)
    delta = conv(conv(motion_b - motion_a, "manipulator.g").relu() * alpha, "manipulator.h_conv")
    moved = motion_b + block(delta, "manipulator.h_resblk")
    x = chain(torch.cat([twice(texture), moved], 1), "decoder.resblks", 9)
    return conv(conv(twice(x), "decoder.cba_1").relu(), "decoder.cba_2")


def test_published_weights_compute_what_the_port_computes(port: dict[str, Tensor]) -> None:
    first, second = torch.rand(2, 1, 3, 32, 24, generator=generator())
    wanted = port_forward(port, first * 2 - 1, second * 2 - 1, 2.5)
    # Random weights leave [-1, 1], where the answer is clipped: bring them back.
    scale = 0.9 / wanted.abs().max()
    last = "decoder.cba_2.conv2d.weight"
    state = {**port, last: port[last] * scale}
    made = convert_published(state)(first, second, 2.5)
    torch.testing.assert_close(made, (wanted * scale + 1) / 2, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_file_is_recognised(
    port: dict[str, Tensor], tmp_path: Path, prefix: str, frames: Tensor
) -> None:
    path = tmp_path / "magnet_epoch12.pth"
    torch.save({prefix + name: tensor for name, tensor in port.items()}, path)
    made = load_magnet(path)(frames[0], frames[1], 2.0)
    torch.testing.assert_close(made, convert_published(port)(frames[0], frames[1], 2.0))


def test_converter_names_what_does_not_fit(port: dict[str, Tensor], tmp_path: Path) -> None:
    state = dict(port)
    state["encoder.extra.weight"] = state.pop("manipulator.g.conv2d.weight")
    with pytest.raises(ValueError, match=r"manipulator\.g\.conv2d\.weight.*encoder\.extra\.weight"):
        convert_published(state)
    wide = {**port, "manipulator.g.conv2d.weight": torch.zeros(32, 32, 7, 7)}
    with pytest.raises(ValueError, match=r"manipulator\.g.*\(32, 32, 7, 7\).*\(32, 32, 3, 3\)"):
        convert_published(wide)
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(MagNetError, match=r"wide\.safetensors.*manipulator\.g"):
        load_magnet(tmp_path / "wide.safetensors")


def test_checkpoint_survives_the_disk_in_half_precision(
    random_model: MagNet, tmp_path: Path, frames: Tensor
) -> None:
    path = save_magnet(tmp_path / "m", random_model.state_dict(), {"seed": 5})
    assert json.loads((tmp_path / "m" / CARD).read_text())["seed"] == 5
    for place in (tmp_path / "m", path):
        made = load_magnet(place)(frames[0], frames[1], 2.0)
        torch.testing.assert_close(made, random_model(frames[0], frames[1], 2.0), atol=5e-3, rtol=0)


def test_damaged_or_missing_checkpoints_are_refused(random_model: MagNet, tmp_path: Path) -> None:
    with pytest.raises(MagNetError, match="train_magnet_checkpoint"):
        load_magnet(tmp_path / "none")
    with pytest.raises(MagNetError, match="no weights"):
        load_magnet(tmp_path / "none.pth")
    path = save_magnet(tmp_path / "m", random_model.state_dict(), {})
    path.write_bytes(path.read_bytes()[:-2] + b"xx")
    with pytest.raises(MagNetError, match="SHA-256"):
        load_magnet(tmp_path / "m")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(MagNetError, match="MagNet's weights"):
        load_magnet(tmp_path / "other.safetensors")


def test_small_motions_of_textures_are_multiplied_by_alpha() -> None:
    pairs = texture_pairs(8, 32, 6.0, 0.2, generator())
    assert bool(((pairs.alpha >= 1) & (pairs.alpha <= 6)).all())
    # To first order in the motion, alpha times the motion changes alpha times as much.
    change = pairs.alpha[:, None, None, None] * (pairs.second - pairs.first)
    wanted = pairs.magnified - pairs.first
    error = (change - wanted).square().sum((1, 2, 3)) / wanted.square().sum((1, 2, 3))
    assert error.max() < 0.05


def test_phantom_pairs_begin_in_the_same_frame_and_grow() -> None:
    pairs = phantom_pairs([5990], 6, 32, [64], 8.0, seed=0)
    small, large = (
        (x - pairs.first).abs().mean((1, 2, 3)) for x in (pairs.second, pairs.magnified)
    )
    assert pairs.first.shape == (6, 3, 32, 32)
    assert bool((small > 0).all())
    assert bool((large > small).all())
    again = phantom_pairs([5990], 6, 32, [64], 8.0, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(pairs, again, strict=True))


def test_perturbation_changes_colours_of_second_frame_and_truth_alike() -> None:
    grey = torch.full((4, 3, 8, 8), 0.5)
    pairs = Pairs(grey, grey, grey, torch.full((4,), 3.0))
    batch = perturb(pairs, noise=0.0, colour=0.2, generator=generator())
    half_a_level = 0.5 / 255 + 1e-6
    assert (batch.second - batch.magnified).abs().max() <= half_a_level
    assert (batch.first - grey).abs().max() <= half_a_level
    assert (batch.plain_second - grey).abs().max() <= half_a_level
    changes = (batch.second - grey).abs().amax((2, 3))
    assert 0.01 < changes.max() <= 0.2 + half_a_level
    noisy = perturb(pairs, noise=0.3, colour=0.0, generator=generator())
    assert 0 < noisy.first.std() <= 0.3 * (0.5 / 255) ** 0.5
    torch.testing.assert_close(noisy.magnified, grey)


@pytest.mark.slow
def test_a_killed_training_goes_on_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = texture_pairs(4, 16, 4.0, 2.0, generator())
    settings = MagNetTraining(steps=4, batch_size=2, size=16, save_every=2)
    whole = MagNetTrainer(settings, faces, tmp_path / "whole").run().state_dict()
    killed = MagNetTrainer(settings, faces, tmp_path / "killed")
    draw = killed.draw

    def draw_until_killed(step: int) -> object:
        if step == 3:
            raise KeyboardInterrupt
        return draw(step)

    monkeypatch.setattr(killed, "draw", draw_until_killed)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = MagNetTrainer(settings, faces, tmp_path / "killed")
    for name, tensor in resumed.run().state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    other = MagNetTraining(steps=4, batch_size=2, size=16, save_every=2, seed=1)
    with pytest.raises(MagNetError, match='"seed": 1'):
        MagNetTrainer(other, faces, tmp_path / "killed").run()


def test_shipped_weights_magnify_subjects_that_they_never_saw() -> None:
    card = json.loads((SHIPPED / CARD).read_text())
    assert (SHIPPED / card["weights"]).stat().st_size < 2.5e6
    magnification = script("measuring.magnification")
    both = magnification.magnifiers(load_magnet())
    rows = {
        row.magnifier: row
        for row in magnification.measure_magnification(
            {name: both[name] for name in ("none", "magnet")},
            alphas=[4.0],
            subjects=3,
            each=1,
            first_subject=6200,
        )
    }
    last = card["data"]["phantom_subjects"][1]
    assert last < 5900
    assert rows["magnet"].motion > 2 * rows["none"].motion
    assert rows["magnet"].ssim_moved > rows["none"].ssim_moved
