"""Shares of work: disjoint, complete, of about equal size, and never through a batch."""

from __future__ import annotations

import pytest

from mersynth.shards import Shard


@pytest.mark.parametrize(
    ("count", "of", "together"), [(20, 8, 1), (35, 3, 8), (8, 1, 3), (7, 7, 1)]
)
def test_shares_are_whole_batches_and_together_everything(
    count: int, of: int, together: int
) -> None:
    everything = list(range(count))
    shares = [everything[Shard(i, of).share(count, together)] for i in range(1, of + 1)]
    assert [thing for share in shares for thing in share] == everything
    assert all(share[0] % together == 0 for share in shares)
    batches = [-(-len(share) // together) for share in shares]
    assert max(batches) - min(batches) <= 1


@pytest.mark.parametrize("text", ["3", "0/4", "5/4", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--shard"):
        Shard.parse(text)


def test_more_shares_than_batches_are_refused() -> None:
    assert str(Shard.parse("3/8")) == "3/8"
    with pytest.raises(ValueError, match="--shard 3/8: there are only 5 sheets"):
        Shard(3, 8).share(17, 4, "sheets")
