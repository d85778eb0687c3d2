"""Which blocks a flow uses: given, named, or the default ones."""

from __future__ import annotations

from typing import TypeVar

from prefect.blocks.core import Block

from prefect_globus.blocks import CheckpointStore, FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
from prefect_globus.transfers.errors import InvalidInputError

_B = TypeVar("_B", bound=Block)


def find_credentials(given: GlobusCredentials | str | None) -> GlobusCredentials:
    """The credentials ``given``, those of the block of that name, or those of the environment.

    Raises:
        InvalidInputError: there is no such block.
    """
    if isinstance(given, str):
        return _load(given, GlobusCredentials)
    return given if given is not None else GlobusCredentials()


def find_checkpoints(given: CheckpointStore | str | None) -> CheckpointStore:
    """The store ``given``, that of the block of that name, or the default one.

    Args:
        given: a block; ``type-slug/name``, or the bare name of a SqlCheckpointStore or FileCheckpointStore; or None
            for the database that PREFECT_GLOBUS_DATABASE_URL names, or else a SQLite file in the user's data folder.

    Raises:
        InvalidInputError: there is no such block, or it is no checkpoint store.
    """
    if isinstance(given, str):
        store: CheckpointStore = _load(given, SqlCheckpointStore, FileCheckpointStore)
        return store
    return given if given is not None else SqlCheckpointStore()


def _load(name: str, *kinds: type[_B]) -> _B:
    slugs = [name] if "/" in name else [f"{kind.get_block_type_slug()}/{name}" for kind in kinds]
    for slug in slugs:
        try:
            block = Block.load(slug, _sync=True)  # type: ignore[call-arg] # Prefect's own switch for its sync form
        except ValueError:  # Prefect's word for "there is none"
            continue
        if not isinstance(block, kinds if "/" not in name else Block):
            break
        return block  # type: ignore[return-value]
    wanted = " or ".join(kind.__name__ for kind in kinds)
    reason = f"There is no {wanted} block named {name!r}: save one under this name, or correct the name"
    raise InvalidInputError(reason=reason)
