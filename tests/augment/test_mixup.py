from __future__ import annotations

import pytest
import torch

from mersynth.augment import MixUp
from tests.augment.samples import clips, same


def test_mixes_by_the_share_with_the_partner() -> None:
    given = clips(6)
    module = MixUp(p=1, generator=torch.Generator().manual_seed(0))
    result = module(given)
    partner, share = module.params["partner"], module.params["share"]
    for key in ("clip", "aus", "au_set", "landmarks"):
        for i in range(6):
            s = float(share[i])
            expected = s * given[key][i] + (1 - s) * given[key][partner[i]]
            torch.testing.assert_close(result[key][i], expected)
    for key in ("label", "subject", "apex_index", "onset_index"):
        assert same(result[key], given[key])


def test_partners_are_others_of_the_class_each_as_likely() -> None:
    label = torch.tensor([0, 1, 0, 2, 0, 1])
    image = torch.rand(6, 1, 2, 2)
    module = MixUp(p=1, generator=torch.Generator().manual_seed(0))
    drawn = []
    for _ in range(600):
        module({"image": image, "label": label})
        drawn.append(module.params["partner"])
    partner = torch.stack(drawn)
    assert (label[partner] == label).all()
    assert set(partner[:, 1].tolist()) == {5}
    assert set(partner[:, 3].tolist()) == {3}
    counts = partner[:, 0].bincount(minlength=6)
    assert counts[[0, 1, 3, 5]].sum() == 0
    assert 250 < counts[2] < 350  # four standard deviations


def test_a_sample_alone_in_its_class_is_kept_and_not_on() -> None:
    given = clips(5)  # labels 0 0 1 1 2
    module = MixUp(p=1)
    result = module(given)
    assert module.params["on"].tolist() == [True] * 4 + [False]
    assert torch.equal(result["clip"][4], given["clip"][4])


def test_shares_follow_the_beta_distribution() -> None:
    image, label = torch.rand(20000, 1, 1, 1)[:1500], torch.zeros(1500, dtype=torch.int64)
    module = MixUp(alpha=1.0, p=1, generator=torch.Generator().manual_seed(0))
    module({"image": image, "label": label})
    share = module.params["share"]  # max(x, 1 - x) of an even x: even on [0.5, 1]
    quantiles = torch.quantile(share, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(
        quantiles, torch.tensor([0.5, 0.625, 0.75, 0.875, 1.0]), atol=0.02, rtol=0
    )


def test_an_au_that_one_did_not_measure_is_unknown() -> None:
    given = clips(2)
    given["aus"][1, :, 4] = float("nan")
    result = MixUp(p=1)(given)["aus"]
    assert result[..., 4].isnan().all()
    assert result[..., :4].isfinite().all()


def test_replays_on_other_frames_without_labels() -> None:
    given = clips(4)
    module = MixUp(p=1)
    result = module(given)["clip"]
    assert torch.equal(module(given["clip"], params=module.params), result)


def test_what_is_missing_or_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="give a mapping with 'label'"):
        MixUp()(torch.rand(2, 3, 4, 4))
    with pytest.raises(ValueError, match="alpha must be above 0, got 0"):
        MixUp(alpha=0)
