"""Which items of a scan are transferred, as the options say."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.options import TransferOptions

_RESTRICTIONS = (
    "include",
    "exclude",
    "min_size",
    "max_size",
    "min_age_seconds",
    "max_age_seconds",
    "filter_callback",
)


class Selection:
    """Which items of a scan are wanted, by patterns, size, age and callback."""

    def __init__(self, options: TransferOptions, began: float) -> None:
        """Args: ``began``: when the transfer began, seconds since 1970; ages are measured from there."""
        self._options = options
        self._oldest = began - options.max_age_seconds if options.max_age_seconds is not None else None
        self._newest = began - options.min_age_seconds if options.min_age_seconds is not None else None
        self._takes_all = not any(getattr(options, name) not in (None, ()) for name in _RESTRICTIONS)

    def enters(self, path: str) -> bool:
        """Whether the directory ``path`` is listed at all."""
        return not any(matches(path, pattern) for pattern in self._options.exclude)

    def chosen(self, items: Iterable[Item]) -> Iterable[Item]:
        """Those of ``items`` that are transferred."""
        return items if self._takes_all else filter(self.takes, items)

    def takes(self, item: Item) -> bool:
        """Whether ``item`` is transferred."""
        if not self._by_path(item.path):
            return False
        if item.type is ItemType.FILE and not (self._by_size(item.size) and self._by_age(item.mtime)):
            return False
        return self._options.filter_callback is None or bool(self._options.filter_callback(item))

    def _by_path(self, path: str) -> bool:
        if any(matches(path, pattern) for pattern in self._options.exclude):
            return False
        include = self._options.include
        return not include or any(matches(path, pattern) for pattern in include)

    def _by_size(self, size: int) -> bool:
        low, high = self._options.min_size, self._options.max_size
        return (low is None or size >= low) and (high is None or size <= high)

    def _by_age(self, mtime: int) -> bool:
        return (self._oldest is None or mtime >= self._oldest) and (self._newest is None or mtime <= self._newest)


def matches(path: str, pattern: str) -> bool:
    """Whether the relative ``path`` matches ``pattern``: as a whole if that has a /, else by its name."""
    if "/" in pattern:
        return fnmatchcase(path, pattern.strip("/"))
    return fnmatchcase(path.rpartition("/")[2], pattern)
