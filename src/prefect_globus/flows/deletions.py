"""Tell what is gone from a source, and so is too much at its destination."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.incremental import earlier_witnesses, items_extra, items_gone
from prefect_globus.tasks.recalling import Looking
from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.incremental import why_unknown
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.model import Transfer


def transfer_deletions(
    transfer_id: str,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> Iterator[Item]:
    """What an incremental transfer has found to be gone from its source; in scan order, streaming.

    With ``compare_with: manifest`` these are the items that earlier transfers have delivered and the scan has not found
    any more; with ``destination`` what the destination has now that the scan has not found, so it is listed. Nothing is
    deleted. What patterns leave out is not gone; nor is an empty directory while there are patterns. A directory goes
    with its files, and is only named if it was empty. The first of a chain has nothing to miss.

    Args:
        transfer_id: of an incremental transfer whose scan is complete.
        credentials: a block or its name, to list the destination; those that the transfer was begun with when left out.
        checkpoints: a block or its name; the default database when left out.

    Raises:
        InvalidInputError: the transfer is not incremental, or nobody can tell what is gone; the message says why.
        TransferNotFoundError: there is no such transfer.
        GlobusError: the destination could not be listed.
    """
    store = find_checkpoints(checkpoints)
    transfer = store.load_transfer(transfer_id)
    looking = Looking(store)
    if transfer.options.mode != "incremental" and transfer.repairs is None:
        reason = f"{transfer_id!r} is not incremental, so it was not compared with what was there before"
        raise InvalidInputError(reason=f"{reason}: choose the mode incremental (--mode incremental) for the next one")
    looks = transfer.options.compare_with == "destination"
    unknown = why_unknown(transfer, [] if looks else earlier_witnesses(looking, transfer))
    if unknown is not None:
        raise InvalidInputError(reason=f"What is gone from the source of {transfer_id!r} is not known, as {unknown}")
    if not looks:
        return items_gone(looking, transfer)
    return _extra(store, transfer, find_credentials(credentials if credentials is not None else transfer.credentials))


def _extra(store: CheckpointStore, transfer: Transfer, login: GlobusCredentials) -> Iterator[Item]:
    with connected(login) as globus:
        yield from items_extra(Driver(store, globus, transfer, transfer.options), transfer)
