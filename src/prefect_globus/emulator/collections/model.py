"""What a collection is, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """A collection to serve.

    Attributes:
        name: its display name.
        uuid: its UUID, in canonical form.
        content: the folder that it shows, with symlinks resolved, or a shape such as `synthetic:files=10` (shape.py).
        data_access: whether a client needs the data_access consent for it (contract section 6).
    """

    name: str
    uuid: str
    content: str
    data_access: bool = False


PART_NAME = re.compile(r"\.globus-[0-9a-f-]{36}(\.\d)?\.part")
COPIERS = 2  # processes that copy the small files of a task


def part_names(task_id: str) -> list[str]:
    """Return the names of the files that a task writes before it renames them: its own, and one for each copier.

    Each moves one file at a time, so one name each is enough, and after a crash it is known what to remove.
    """
    return [f".globus-{task_id}.part", *(f".globus-{task_id}.{number}.part" for number in range(COPIERS))]
