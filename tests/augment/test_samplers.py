from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mersynth.augment import ClassBalancedSampler, SubjectBalancedSampler, class_weights

LABELS = [0] * 50 + [1] * 7 + [2] * 3


@pytest.mark.parametrize("num_samples", [60, 61, 62, 5, 2, 1000])
def test_every_group_comes_as_often(num_samples: int) -> None:
    sampler = ClassBalancedSampler(LABELS, num_samples, torch.Generator().manual_seed(0))
    drawn = list(sampler)
    counts = Counter(LABELS[i] for i in drawn)
    assert len(drawn) == len(sampler) == num_samples
    times = [counts[label] for label in range(3)]
    assert max(times) - min(times) <= 1


def test_none_comes_again_before_all_of_its_group_came() -> None:
    drawn = Counter(ClassBalancedSampler(LABELS, 90, torch.Generator().manual_seed(1)))
    assert all(drawn[i] <= 1 for i in range(50))  # 30 of 50
    assert {drawn[i] for i in range(50, 57)} == {4, 5}  # 30 of 7
    assert {drawn[i] for i in range(57, 60)} == {10}


def test_the_seed_decides_and_passes_differ() -> None:
    def passes(seed: int) -> list[list[int]]:
        sampler = ClassBalancedSampler(LABELS, generator=torch.Generator().manual_seed(seed))
        return [list(sampler), list(sampler)]

    first, second = passes(0)
    assert [first, second] == passes(0)
    assert first != second
    assert passes(1)[0] != first


def test_whose_remainder_it_is_is_drawn() -> None:
    sampler = ClassBalancedSampler([0, 1, 2], 1, torch.Generator().manual_seed(0))
    assert set().union(*(list(sampler) for _ in range(60))) == {0, 1, 2}


def test_subjects_by_name_in_a_loader() -> None:
    subjects = ["samm/006"] * 8 + ["samm/007"] * 2
    data = TensorDataset(torch.arange(10))
    generator = torch.Generator().manual_seed(0)
    sampler = SubjectBalancedSampler(subjects=subjects, num_samples=20, generator=generator)
    batches = [batch for (batch,) in DataLoader(data, batch_size=5, sampler=sampler)]
    drawn = torch.cat(batches)
    assert (drawn < 8).sum() == (drawn >= 8).sum() == 10


def test_groups_may_be_a_tensor() -> None:
    of_list = ClassBalancedSampler(LABELS, generator=torch.Generator().manual_seed(0))
    of_tensor = ClassBalancedSampler(
        torch.tensor(LABELS), generator=torch.Generator().manual_seed(0)
    )
    assert list(of_list) == list(of_tensor)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="ClassBalancedSampler: there is nothing to draw from"):
        ClassBalancedSampler([])
    with pytest.raises(ValueError, match="num_samples must be 1 or more, got 0"):
        SubjectBalancedSampler([0, 1], 0)


def test_class_weights_are_those_of_equation_6() -> None:
    # CASME II, five classes: 99 others, 63 disgust, 32 happiness, 27 repression, 25 surprise.
    counts = [99, 63, 32, 27, 25]
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    expected = torch.tensor([1, 99 / 63, 99 / 32, 99 / 27, 99 / 25])
    torch.testing.assert_close(class_weights(labels), expected)
    torch.testing.assert_close(class_weights(torch.tensor(labels), num_classes=5), expected)
    torch.testing.assert_close(class_weights(counts=counts), expected)


def test_weighted_classes_weigh_the_same_in_the_loss() -> None:
    labels = torch.tensor(LABELS)
    loss = F.cross_entropy(torch.zeros(60, 3), labels, class_weights(labels), reduction="none")
    sums = torch.stack([loss[labels == c].sum() for c in range(3)])
    torch.testing.assert_close(sums, sums[:1].expand(3))


def test_an_absent_class_has_no_weight() -> None:
    assert class_weights([0, 0, 2], num_classes=4).tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either labels or counts"),
        ({"labels": [0], "counts": [1]}, "give either labels or counts"),
        ({"labels": []}, "labels must be one or more numbers"),
        ({"labels": [0, 3], "num_classes": 3}, r"in 0..2, got 0, 3"),
        ({"labels": [-1, 0]}, "labels must be"),
        ({"counts": [0, 0]}, "not all 0"),
        ({"counts": [3, -1]}, "counts must be"),
        ({"counts": [3, 1], "num_classes": 3}, "counts must be 3 numbers"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_weights(**arguments)


def test_a_list_of_tensors_is_balanced_by_their_values() -> None:
    labels = [torch.tensor(c) for c in [0] * 20 + [1] * 5 + [2] * 2]
    order = list(ClassBalancedSampler(labels, 300, torch.Generator().manual_seed(0)))
    drawn = torch.tensor([int(labels[i]) for i in order])
    assert drawn.bincount().tolist() == [100, 100, 100]
