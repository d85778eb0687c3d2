"""Random trees, as a scan sees them."""

from __future__ import annotations

import hypothesis.strategies as st

from prefect_globus.transfers.items import Item, ItemType, scan_order

NAMES = st.sampled_from(["a", "b", "a-", "a.b", "b0", "é", "\udcff", " ", "\x01"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> list[Item]:
    """Items in scan order; none is above another, as a directory with something in it is no item."""
    found: dict[str, Item] = {}
    for path in draw(st.sets(PATHS, max_size=12)):
        if not any(f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/") for other in found):
            kind = draw(st.sampled_from([ItemType.FILE, ItemType.FILE, ItemType.DIRECTORY]))
            size = draw(st.integers(0, 3)) if kind is ItemType.FILE else 0
            found[path] = Item(path, size, draw(st.integers(1, 3)), kind)
    return sorted(found.values(), key=lambda item: scan_order(item.path))
