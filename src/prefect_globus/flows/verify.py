"""Verify what a transfer has delivered, and repair it; forget a delivery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.flows.control import delete_transfer, resume_transfer
from prefect_globus.flows.parameters import Checkpoints, Credentials, TransferId, titled
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.leases import take_lease
from prefect_globus.tasks.processes import is_gone
from prefect_globus.tasks.recalling import newest_batch_with, transfers_between
from prefect_globus.tasks.standing import result_of
from prefect_globus.tasks.verifying import differences, findings, repairs_of
from prefect_globus.transfers.batches import ItemFault
from prefect_globus.transfers.comparing import Check
from prefect_globus.transfers.delivered import FORGOTTEN
from prefect_globus.transfers.errors import InvalidInputError, LeaseHeldError, TransferFailedError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import SyncLevel
from prefect_globus.transfers.quantities import Duration
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus
from prefect_globus.transfers.verification import Difference, Verification

_SHORT_SECONDS = 30.0
_STEM_LENGTH = 110  # an id has at most 128 characters
# What a FAILED repair has not mended is found again by the next.
_ENDED = FINAL_TRANSFER_STATUSES | {TransferStatus.FAILED}


@flow(name="verify-transfer", flow_run_name="verify {transfer_id}")
def verify_transfer(
    transfer_id: TransferId,
    repair: Annotated[bool, titled("Repair")] = False,
    source: Annotated[bool, titled("Look at the source, too")] = False,
    checksum: Annotated[bool, titled("Compare contents")] = False,
    mtime: Annotated[bool, titled("Compare modification times")] = True,
    clock_skew: Annotated[Duration, titled("Clock skew")] = 60.0,
    limit: Annotated[int, titled("Most differences named")] = 1000,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> Verification:
    """Compare the destination with what a transfer has delivered to it; repair it if asked to.

    Found are items that are missing, of another type, truncated or of another size, and those whose modification time
    says that they were altered: where the transfer preserved timestamps it must be that of the source, to the second,
    and elsewhere it must not be later than the transfer by more than ``clock_skew``. An alteration that keeps size and
    time is only found with ``checksum``. What was skipped or has failed is no difference.

    A repair is a transfer of its own, ``<id>+repair-1`` and so on, of what differs. A repair that was cut off goes on.

    Args:
        transfer_id: Which transfer. For example: backup-20261122
        repair: Move again what differs; where the source is looked at, also what is new or has changed there. Nothing
            is ever deleted.
        source: List the source, too, and report what is new, has changed or vanished there since the transfer has
            scanned it. New items of a transfer with a filter callback are not known.
        checksum: Have Globus compare the contents of all files. It only can while it transfers, so what differs is
            moved again, and this needs a repair. Whether the destination was altered or the source has changed is
            told from the checksums that Globus recorded, which it keeps for 30 days.
        mtime: Compare modification times; switch it off for a destination that does not keep them. Where contents are
            compared, times are not.
        clock_skew: By how much the destination's clock may be ahead, in seconds or with a unit. For example: 2 min
        limit: How many differences the result names; it counts all of them. For example: 50
        credentials: The login to Globus: a saved block or its name. When left out the one that the transfer was begun
            with. For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Raises:
        InvalidInputError: the input will not do.
        TransferNotFoundError: there is no such transfer.
        LeaseHeldError: it is being driven.
        GlobusError: the destination or the source could not be listed.
        TransferError: the repair could not be carried out; see `resumable_transfer`.
    """
    if checksum and not repair:
        reason = "Globus compares checksums only while it transfers, so what differs is moved again"
        raise InvalidInputError(reason=f"{reason}: ask for a repair, too (repair=True, or --repair)")
    if not clock_skew >= 0:
        raise InvalidInputError(reason=f"clock_skew is {clock_skew}, but must be 0 or more seconds")
    times = mtime and not checksum  # where the contents are compared, a time tells nothing more
    check = Check(transfer_id=transfer_id, source=source, checksum=checksum, mtime=times, clock_skew=clock_skew)
    store = find_checkpoints(checkpoints)
    transfer = _undriven(store, transfer_id)
    login = find_credentials(credentials if credentials is not None else transfer.credentials)
    with connected(login) as globus:
        driver = Driver(store, globus, transfer, transfer.options)
        verification = _repaired(driver, check, login, limit) if repair else _compared(driver, check, limit)
    get_run_logger().info(
        "%s: %s of %s items differ, %s are repaired: %s",
        *(transfer_id, verification.items_differing, verification.items_delivered),
        *(verification.items_repaired, dict(verification.codes)),
    )
    return verification


def forget_delivery(source: str, destination: str, path: str, checkpoints: CheckpointStore | str | None = None) -> str:
    """Clear the record that one item was delivered, so that the option ``idempotency`` lets it be transferred again.

    Args:
        source: of the transfers, as COLLECTION_UUID:/path.
        destination: of the transfers.
        path: of the item, relative to these; empty when the source is itself one file.
        checkpoints: a block or its name; the default database when left out.

    Returns:
        The id of the latest transfer that has the item, whose record is cleared.

    Raises:
        InvalidInputError: no transfer between these locations has such an item.
        LeaseHeldError: that transfer is being driven.
    """
    store = find_checkpoints(checkpoints)
    places = Location.parse(source), Location.parse(destination)
    for transfer in transfers_between(store, *places):
        if (found := newest_batch_with(store, transfer, path)) is not None:
            _forget(store, transfer, found[0].number, path)
            return transfer.id
    reason = f"No transfer from {places[0]} to {places[1]} has an item {path!r}"
    raise InvalidInputError(reason=f"{reason}: write its path relative to these, as `prefect-globus items ID` shows it")


def _forget(store: CheckpointStore, transfer: Transfer, number: int, path: str) -> None:
    lease = take_lease(store, transfer.id, _SHORT_SECONDS, wait=0.0)
    try:
        batch = store.load_batch(transfer.id, number)
        position = [item.path for item in store.load_manifest(transfer.id, number)].index(path)
        outcome = Outcome(batch.outcomes[position])
        if outcome in (Outcome.TRANSFERRED, Outcome.UNCHANGED):  # anything else is transferred again anyway
            fault = ItemFault(path=path, outcome=outcome, code=FORGOTTEN, attempt=0)
            store.save_batch(lease, batch.evolve(faults=(*batch.faults, fault)))
    finally:
        store.release_lease(lease)


def _undriven(store: CheckpointStore, transfer_id: str) -> Transfer:
    """The transfer, which nobody drives just now."""
    transfer = store.load_transfer(transfer_id)
    if transfer.repairs is not None:
        reason = f"{transfer_id!r} is a repair: verify {transfer.repairs.transfer_id!r}, which it belongs to"
        raise InvalidInputError(reason=reason)
    lease = store.current_lease(transfer_id)  # not taken: that would stop a driver that is late to renew it
    if lease is not None and not is_gone(lease.holder):
        expires_at = lease.expires_at.isoformat(" ", "seconds")
        raise LeaseHeldError(transfer_id=transfer_id, holder=lease.holder.description, expires_at=expires_at)
    return transfer


def _compared(driver: Driver, check: Check, limit: int) -> Verification:
    unseen = 0

    def differing() -> Iterator[Difference]:
        nonlocal unseen
        for finding in findings(driver, check):
            unseen += not finding.seen
            if finding.codes:
                yield Difference(path=finding.item.path, codes=finding.codes)

    return _tally(driver, differing(), limit).evolve(items_unseen=unseen)


def _repaired(driver: Driver, check: Check, credentials: GlobusCredentials, limit: int) -> Verification:
    """Run the repair that was cut off, or a new one."""
    store = driver.store
    repairs = repairs_of(driver, check.transfer_id)
    unfinished = [each for each in repairs if each.status not in _ENDED and each.repairs == check]
    repair = unfinished[0] if unfinished else _new_repair(driver, check, repairs)
    try:
        result = resume_transfer(repair.id, credentials=credentials, checkpoints=store)
    except TransferFailedError:
        result = result_of(store, repair.id)
    verification = _tally(driver, differences(driver, store.load_transfer(repair.id), check), limit)
    if not result.items_total:
        delete_transfer(repair.id, store)
        return verification
    return verification.evolve(repair=result)


def _new_repair(driver: Driver, check: Check, before: Iterable[Transfer]) -> Transfer:
    verified = driver.transfer
    numbers = [int(each.id.rpartition("-")[2]) for each in before]
    options = verified.options.evolve(
        # size and time are what is doubted, so nothing but the contents can tell that a file is right
        sync_level=SyncLevel.CHECKSUM if check.checksum else None,
        idempotency="off",
        mode="full",
        compare_with="manifest",
        skip_source_errors=False,  # what cannot be moved again is not repaired
        after="keep_source",
        delete_destination_extra=False,  # its manifest is a part of the source only
        approval=False,  # somebody has just asked for it
    )
    facts = {"options": options, "source_is_file": verified.source_is_file, "credentials": verified.credentials}
    repair = Transfer(
        id=f"{_stem(verified.id)}+repair-{max(numbers, default=0) + 1}",
        source=verified.source,
        destination=verified.destination,
        repairs=check,
        **facts,
    )
    driver.store.create_transfer(repair)
    return repair


def _stem(transfer_id: str) -> str:
    """What the ids of its repairs begin with: the id itself, unless that would make them too long."""
    if len(transfer_id) <= _STEM_LENGTH:
        return transfer_id
    return f"{transfer_id[: _STEM_LENGTH - 9]}-{sha256(transfer_id.encode()).hexdigest()[:8]}"


def _tally(driver: Driver, found: Iterable[Difference], limit: int) -> Verification:
    codes: Counter[str] = Counter()
    first: list[Difference] = []
    differing = repaired = 0
    for difference in found:
        codes.update(difference.codes)
        differing += 1
        repaired += difference.repaired
        if len(first) < limit:
            first.append(difference)
    ledger = driver.ledger()
    return Verification(
        id=driver.transfer.id,
        source=driver.transfer.source,
        destination=driver.transfer.destination,
        items_delivered=ledger.transferred + ledger.unchanged,
        items_differing=differing,
        items_repaired=repaired,
        codes=codes,
        differences=tuple(first),
    )
