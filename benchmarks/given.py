"""What was asked of the benchmark on its command line."""

from __future__ import annotations

from dataclasses import dataclass

from figures import Record


@dataclass(frozen=True)
class Given:
    """How much is measured.

    Args:
        files: of the larger transfers.
        rounds: how often each comparison is made.
        huge: whether ten times as many files are transferred, too, once.
        directories: that are listed with latency.
        latency: in ms, of each request, where there is one.
        record: what was measured before.
    """

    files: int = 1_000_000
    rounds: int = 3
    huge: bool = False
    directories: int = 10_000
    latency: int = 50
    record: Record | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of files of whole transfers, in order."""
        return (self.files // 100, self.files // 10, self.files, *((self.files * 10,) if self.huge else ()))
