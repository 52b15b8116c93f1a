"""Properties of every augmentation that mersynth.augment exports."""

from __future__ import annotations

import copy
from typing import Any

import kornia.augmentation
import pytest
import torch
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from mersynth import augment
from mersynth.augment import Augmentation
from tests.augment.samples import (
    AUGMENTATIONS,
    MIX_SAMPLES,
    NEED_CLIP,
    NEED_MAPPING,
    NEW_EACH_FRAME,
    clips,
    images,
    same,
)

every = pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
of_tensors = pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - set(NEED_MAPPING)))
of_images = pytest.mark.parametrize(
    "name", sorted(set(AUGMENTATIONS) - set(NEED_MAPPING) - set(NEED_CLIP))
)


def make(name: str, p: float = 1.0, seed: int = 0) -> Augmentation:
    return AUGMENTATIONS[name](p=p, generator=torch.Generator().manual_seed(seed))


def test_every_exported_augmentation_is_tested() -> None:
    exported = {
        name
        for name in augment.__all__
        if isinstance(getattr(augment, name), type)
        and issubclass(getattr(augment, name), Augmentation)
    }
    assert exported - {"Augmentation"} == set(AUGMENTATIONS)


@every
def test_a_clip_changes_and_everything_else_keeps_its_form(name: str) -> None:
    given = clips()
    before = copy.deepcopy(given)
    result = make(name)(given)
    assert same(given, before), "the input was written to"
    assert result.keys() == given.keys()
    assert result["name"] == given["name"]
    assert not same(result["clip"], given["clip"])
    frames = 2 if name == "OnsetApexPair" else 12
    for key in ("clip", "aus", "landmarks"):
        assert result[key].shape == (4, frames, *given[key].shape[2:])
        assert result[key].dtype == torch.float32
    for key in ("label", "au_set", "subject", "onset_index", "apex_index"):
        assert result[key].shape == given[key].shape
        assert result[key].dtype == given[key].dtype


@every
def test_replaying_params_does_the_same_again(name: str) -> None:
    module, given = make(name, p=0.5, seed=3), clips()
    result, params = module(given), module.params
    module(given)  # draws anew
    assert same(module(given, params=params), result)
    other = {**given, "clip": given["clip"].flip(0)}
    one, another = make(name, seed=8), make(name, p=0, seed=9)
    assert same(one(other, params=params), another(other, params=params))
    assert same(one.params, params)


@every
def test_params_for_another_number_of_samples_are_refused(name: str) -> None:
    module = make(name)
    module(clips(4))
    with pytest.raises(ValueError, match=r"params are for 4 samples, the batch has 2"):
        module(clips(2), params=module.params)


@every
def test_p_of_0_changes_nothing(name: str) -> None:
    given = clips()
    result = make(name, p=0)(given)
    if name == "OnsetApexPair":
        b = torch.arange(4)
        pair = torch.stack([given["clip"][b, 1], given["clip"][b, given["apex_index"]]], 1)
        assert same(result["clip"], pair)
    else:
        assert same(result, given)


@every
def test_the_generator_alone_decides(name: str) -> None:
    given = clips()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = make(name, p=0.5, seed=1)(given)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert same(make(name, p=0.5, seed=1)(given), first)
    assert any(not same(make(name, p=0.5, seed=s)(given), first) for s in range(2, 12))


@every
def test_torch_manual_seed_decides_without_a_generator(name: str) -> None:
    given, results = clips(), []
    for seed in (1, 1, 2, 3, 4):
        torch.manual_seed(seed)
        results.append(AUGMENTATIONS[name](p=0.5)(given))
    assert same(results[0], results[1])
    assert any(not same(results[0], other) for other in results[2:])


@every
def test_what_does_not_move_does_not_begin_to(name: str) -> None:
    given = clips()
    for key in ("clip", "aus", "landmarks"):
        given[key] = given[key][:, :1].expand_as(given[key])
    result = make(name)(given)
    still = name not in NEW_EACH_FRAME
    for key in ("clip", "aus", "landmarks") if still else ("aus", "landmarks"):
        spread = (result[key] - result[key][:, :1]).nan_to_num().abs().max()
        assert spread < 1e-6, key
    if not still:
        assert not torch.equal(result["clip"][:, 0], result["clip"][:, 1])


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - set(MIX_SAMPLES)))
def test_a_sample_is_changed_by_its_own_params_alone(name: str) -> None:
    module, given = make(name), clips()
    together = module(given)
    for i in range(4):
        params = {key: value[i : i + 1] for key, value in module.params.items()}
        alone = {key: value[i : i + 1] for key, value in given.items()}
        result = make(name)(alone, params=params)
        for key in ("clip", "landmarks", "au_set", "aus"):
            torch.testing.assert_close(
                result[key], together[key][i : i + 1], atol=1e-5, rtol=0, equal_nan=True
            )


@of_tensors
def test_tensors_of_clips_go_as_in_a_mapping(name: str) -> None:
    clip = clips()["clip"]
    module = make(name)
    result = module(clip)
    assert isinstance(result, torch.Tensor)
    assert same(make(name)({"clip": clip})["clip"], result)
    assert same(make(name)(clip.double()).dtype, torch.float64)


@of_images
def test_images_alone_and_in_batches_go_alike(name: str) -> None:
    given = images(1)
    batch = make(name)(given)
    assert not same(batch["image"], given["image"])
    assert same(make(name)(given["image"]), batch["image"])
    assert same(make(name)(given["image"][0]), batch["image"][0])
    alone = {key: value[0] for key, value in given.items()}
    assert same(make(name)(alone), {key: value[0] for key, value in batch.items()})
    as_clip = {key: v[:, None] if key in ("aus", "landmarks") else v for key, v in given.items()}
    as_clip["clip"] = as_clip.pop("image")[:, None]
    assert same(make(name)(as_clip)["clip"][:, 0], batch["image"])


@every
def test_a_sample_of_a_data_set_needs_no_batch(name: str) -> None:
    given = clips(1)
    alone: dict[str, Any] = {key: value[0] for key, value in given.items()}
    alone |= {"label": 0, "apex_index": int(alone["apex_index"])}  # as a data set gives them
    batch = make(name)(given)
    result = make(name)(alone)
    assert isinstance(result["label"], int)
    assert isinstance(result["apex_index"], int)
    assert result["apex_index"] == int(batch["apex_index"][0])
    for key in ("clip", "aus", "landmarks", "au_set"):
        assert same(result[key], batch[key][0])


@every
def test_unmeasured_aus_and_landmarks_stay_unmeasured(name: str) -> None:
    given = clips()
    given["aus"][:, :, 3] = float("nan")
    given["landmarks"][:2] = float("nan")  # one class, so that none of it knows any
    result = make(name)(given)
    assert result["aus"][:, :, 3].isnan().all()
    assert result["landmarks"][:2].isnan().all()
    assert result["landmarks"][2:].isfinite().all()
    assert result["clip"].isfinite().all()


@every
def test_landmarks_outside_of_the_image_are_carried_along(name: str) -> None:
    given = clips()
    given["landmarks"] = given["landmarks"] - 300
    result = make(name)(given)["landmarks"]
    assert result.isfinite().all()
    assert (result[..., 1] < -200).all()  # no transform moves by that much, and none clamps


@every
def test_wrong_input_is_named(name: str) -> None:
    module, given = make(name), clips()
    wrong = {
        "float tensor": {**given, "clip": (given["clip"] * 255).to(torch.uint8)},
        r"clip must have shape": {**given, "clip": given["clip"][0, 0]},
        r"either 'image' or 'clip'": {**given, "image": given["clip"][:, 0]},
        r"there are no frames": {**given, "clip": given["clip"][:0]},
        r"landmarks must have shape \(4, 12, 68, 2\)": {
            **given,
            "landmarks": given["landmarks"][..., :5, :],
        },
        r"aus must have shape \(4, 12, 20\)": {**given, "aus": given["aus"][:, 0]},
        r"aus must lie in \[0, 1\], or be NaN": {**given, "aus": given["aus"] * 5},
        r"au_set must lie in": {**given, "au_set": given["au_set"] - 1},
        r"label must have shape": {**given, "label": given["label"][:2]},
    }
    for message, inputs in wrong.items():
        with pytest.raises(ValueError, match=message):
            module(inputs)
    with pytest.raises(ValueError, match="got \\(20,\\)"):
        module(torch.rand(20))
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\], got 1.5"):
        AUGMENTATIONS[name](p=1.5)


@every
def test_frames_beyond_the_unit_range_are_refused_where_it_matters(name: str) -> None:
    module, given = make(name), clips()
    for bad in (given["clip"] * 2, given["clip"] - 0.5, given["clip"] * float("nan")):
        if module.unit_range:
            with pytest.raises(ValueError, match=r"frames must lie in \[0, 1\]"):
                module({**given, "clip": bad})
        else:
            module({**given, "clip": bad})


@every
def test_in_torchvisions_compose(name: str) -> None:
    given = clips()
    composed = v2.Compose([make(name), augment.RandomHorizontalFlip(p=1)])
    expected = augment.RandomHorizontalFlip(p=1)(make(name)(given))
    assert same(composed(given), expected)


@of_images
def test_in_kornias_sequence(name: str) -> None:
    image = images()["image"]
    sequence = kornia.augmentation.AugmentationSequential(
        kornia.augmentation.RandomHorizontalFlip(p=1.0), make(name), data_keys=["input"]
    )
    torch.testing.assert_close(sequence(image), make(name)(image.flip(-1)))


@every
def test_as_a_collate_function(name: str) -> None:
    given = clips()
    samples = [{key: value[i] for key, value in given.items()} for i in range(4)]
    module = make(name)
    loader = DataLoader(samples, batch_size=4, collate_fn=lambda s: module(default_collate(s)))
    assert same(next(iter(loader)), make(name)(given))


@every
def test_says_what_it_is(name: str) -> None:
    assert repr(make(name, p=0.25)).startswith(f"{name}(")
    assert "p=0.25" in repr(make(name, p=0.25))


@pytest.mark.gpu
@every
def test_a_device_gives_what_the_processor_gives(name: str) -> None:
    given = clips()
    there = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
    module = make(name, p=0.5, seed=2)
    here, result = make(name, p=0.5, seed=2)(given), module(there)
    assert all(value.is_cuda for value in module.params.values())
    for key in ("clip", "aus", "landmarks", "au_set"):
        assert result[key].is_cuda
        torch.testing.assert_close(result[key].cpu(), here[key], atol=1e-4, rtol=0, equal_nan=True)
