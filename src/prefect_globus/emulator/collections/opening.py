"""From what a collection is said to hold to what holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.folder import Folder
from prefect_globus.emulator.collections.shape import is_shape, parse_shape
from prefect_globus.emulator.collections.synthetic import Synthetic

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.collections.storage import Storage


def open_storage(collection: CollectionSpec) -> Storage:
    """Return what holds the content of a collection. Raises ShapeError."""
    content = collection.content
    return Synthetic(parse_shape(content)) if is_shape(content) else Folder(content)
