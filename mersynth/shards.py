"""Long work divided over processes: shard 3/8 is the third of eight shares."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares of long work, each for a process, of any machine.

    Attributes:
        number: which share, from 1.
        of: number of shares.

    Raises:
        ValueError: if the number does not lie in 1..of.

    Example:
        >>> Shard(3, 8).share(20)
        slice(5, 7, None)
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"--shard I/N needs I in 1..N, got {self}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that a command line names, such as ``"3/8"``.

        Raises:
            ValueError: if it is not of this form.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if found is None:
            raise ValueError(f"--shard must look like 3/8, the third of eight shares; got {text!r}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, count: int, together: int = 1, what: str = "pieces of work") -> slice:
        """Its part of ``count`` things in a row; the shares differ by one batch at most.

        Args:
            count: number of things.
            together: size of the batches that must not be divided.
            what: name of the batches in the error.

        Raises:
            ValueError: if there are more shares than batches.
        """
        batches = -(-count // together)
        if self.of > batches:
            raise ValueError(
                f"--shard {self}: there are only {batches} {what}; use at most {batches} shards"
            )
        first, last = ((i * batches // self.of) * together for i in (self.number - 1, self.number))
        return slice(first, min(last, count))
