"""Which blocks a flow uses: given, named, or the default ones."""

from __future__ import annotations

from typing import TypeVar

from prefect.blocks.core import Block
from prefect_sqlalchemy import SqlAlchemyConnector  # type: ignore[import-untyped]
from pydantic import ValidationError

from prefect_globus.blocks import CheckpointStore, FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
from prefect_globus.transfers.errors import InvalidInputError

_B = TypeVar("_B", bound=Block)


def find_credentials(given: GlobusCredentials | str | None) -> GlobusCredentials:
    """The credentials ``given``, those of the block of that name, or those of the environment.

    Raises:
        InvalidInputError: there is no such block, or it cannot be used.
    """
    if isinstance(given, str):
        return _load(given, GlobusCredentials, GlobusCredentials)
    return given if given is not None else GlobusCredentials()


def find_checkpoints(given: CheckpointStore | str | None) -> CheckpointStore:
    """The store ``given``, that of the block of that name, or the default one.

    Args:
        given: a block; ``type-slug/name``, or the bare name of a SqlCheckpointStore or FileCheckpointStore; or None
            for the database that PREFECT_GLOBUS_DATABASE_URL names, or else a SQLite file in the user's data folder.

    Raises:
        InvalidInputError: there is no such block, it cannot be used, or it is no checkpoint store.
    """
    if isinstance(given, str):
        base = CheckpointStore
        return _load(given, base, SqlCheckpointStore, FileCheckpointStore)  # type: ignore[type-abstract] # only asked for
    return given if given is not None else SqlCheckpointStore()


def find_connector(name: str) -> SqlAlchemyConnector:
    """The SqlAlchemyConnector block of that name.

    Raises:
        InvalidInputError: there is no such block, or it cannot be used.
    """
    return _load(name, SqlAlchemyConnector, SqlAlchemyConnector)


def name_of(given: Block | str | None) -> str | None:
    """The name under which another process finds the block ``given``; None when there is none, or it was not saved."""
    if given is None or isinstance(given, str):
        return given
    name = given._block_document_name  # noqa: SLF001 - Prefect has no other word for it
    return name and f"{given.get_block_type_slug()}/{name}"


def _load(name: str, base: type[_B], *kinds: type[_B]) -> _B:
    """The block ``name``: a ``type-slug/name`` of any kind of ``base``, or the bare name of one of ``kinds``."""
    slugs = [name] if "/" in name else [f"{kind.get_block_type_slug()}/{name}" for kind in kinds]
    for slug in slugs:
        try:
            block = Block.load(slug, _sync=True)  # type: ignore[call-arg] # Prefect's own switch for its sync form
        except ValueError:  # Prefect's word for "there is none"
            continue
        except RuntimeError as error:  # what it says of a block that was saved, but is not valid
            if not isinstance(error.__cause__, ValidationError):
                raise
            raise InvalidInputError(reason=_why_not(slug, error.__cause__)) from None  # a value may be a secret
        if not isinstance(block, base):
            break
        return block
    wanted = " or ".join(kind.__name__ for kind in kinds)
    reason = f"There is no {wanted} block named {name!r}: save one under this name, or correct the name"
    raise InvalidInputError(reason=reason)


def _why_not(slug: str, error: ValidationError) -> str:
    """What is wrong with a block that was saved, by its fields; never what they hold."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    words = [": ".join([*map(str, each["loc"]), _words_of(each["msg"])]) for each in problems]
    return f"The block {slug} cannot be used: {'; '.join(words)}. Correct it where it was saved"


def _words_of(message: str) -> str:
    return message.removeprefix("Value error, ").removesuffix(".")
