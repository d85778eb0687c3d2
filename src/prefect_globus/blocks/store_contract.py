"""The contract of a checkpoint store as a test suite: subclass it with a ``store`` fixture and run pytest.

```python
from prefect_globus.blocks.store_contract import CheckpointStoreContract

class TestMyStore(CheckpointStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return MyStore(folder=tmp_path)
```
"""
# ruff: noqa: S101, D102, PLR2004 - this is a test suite, whose names are sentences

from __future__ import annotations

import asyncio
import copy
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from prefect.results import ResultRecord  # type: ignore[attr-defined]

from prefect_globus.blocks.checkpoints import CheckpointStore, batch_result_key
from prefect_globus.transfers.batches import REDRIVEN, SOURCE_CHANGED, Batch, ItemFault, Settlement
from prefect_globus.transfers.errors import (
    InvalidTransferIdError,
    InvalidTransitionError,
    LeaseHeldError,
    LeaseLostError,
    TransferExistsError,
    TransferNotFoundError,
)
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, Lease, Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus, BatchStatus, TransferStatus

ODD_PATHS = (
    unicodedata.normalize("NFC", "é/ü"),
    unicodedata.normalize("NFD", "é/ü"),
    "line\nbreak\r\ttab",
    "quotes ' \" ` and \\ and %s {x} $y",
    " leading and trailing ",
    "n" * 255,
    "日本語/" + "ぽ" * 85,
    "lone \udcff surrogate \ud800",
    "😀/\x01\x7f",
    "-rf",
)

_HOLDER = Holder(description="ann on alpha, process 1", process="alpha:1")
_OTHER = Holder(description="bob on beta, process 2")


def _transfer(transfer_id: str = "nightly") -> Transfer:
    return Transfer(
        id=transfer_id,
        source=Location.parse("11111111-1111-1111-1111-111111111111:/from"),
        destination=Location.parse("22222222-2222-2222-2222-222222222222:/to"),
        options=TransferOptions(label="a label", include=("*.nc",), batch_size=3),
    )


def _items(*paths: str) -> list[Item]:
    return [Item(path, index, 1_700_000_000 + index) for index, path in enumerate(paths, start=1)]


class _Driver:
    """A transfer in a store, with a lease on it: what the tests write as."""

    def __init__(self, store: CheckpointStore, transfer_id: str = "nightly") -> None:
        self.store = store
        store.create_transfer(_transfer(transfer_id))
        self.lease = store.acquire_lease(transfer_id, _HOLDER, 60)
        self.transfer = store.load_transfer(transfer_id)

    def append(self, items: list[Item]) -> Batch:
        batch = Batch.cut(self.transfer.id, self.transfer.batches + 1, items)
        grown = self.transfer.evolve(
            status=TransferStatus.SCANNING, batches=batch.number, cursor=items[-1].path, updated_at=now()
        )
        self.store.append_batch(self.lease, grown, batch, items)
        self.transfer = grown
        return batch

    def save(self, batch: Batch) -> Batch:
        self.store.save_batch(self.lease, batch)
        return batch

    def writes(self, batch: Batch) -> dict[str, Callable[[Lease], object]]:
        """Every write that takes a lease, each of them allowed by the transition tables."""
        appended = Batch.cut(self.transfer.id, self.transfer.batches + 1, _items("zzz"))
        grown = self.transfer.evolve(status=TransferStatus.SCANNING, batches=appended.number)
        return {
            "save_transfer": lambda lease: self.store.save_transfer(lease, self.transfer.evolve(error="x")),
            "append_batch": lambda lease: self.store.append_batch(lease, grown, appended, _items("zzz")),
            "save_batch": lambda lease: self.store.save_batch(lease, batch.intend(uuid4(), None)),
            "renew_lease": lambda lease: self.store.renew_lease(lease, 9999),
        }


def _everything(store: CheckpointStore, transfer_id: str) -> tuple[object, ...]:
    batches = list(store.list_batches(transfer_id))
    lease = store.current_lease(transfer_id)
    return store.load_transfer(transfer_id), batches, list(store.iter_items(transfer_id)), lease


class CheckpointStoreContract:
    """What every `CheckpointStore` promises, as tests."""

    @pytest.fixture
    def store(self) -> CheckpointStore:
        """The store under test, empty."""
        raise NotImplementedError("a subclass gives its store")

    @pytest.fixture
    def again(self, store: CheckpointStore) -> CheckpointStore:
        """The same store as another block, as another process would make it."""
        return type(store).model_validate(copy.deepcopy(dict(store)))

    @pytest.fixture
    def driver(self, store: CheckpointStore) -> _Driver:
        """A transfer with a lease."""
        return _Driver(store)

    # --- transfers

    def test_a_transfer_comes_back_as_it_went_in(self, store: CheckpointStore, again: CheckpointStore) -> None:
        transfer = _transfer().evolve(filtered=True, source_is_file=False, error="é\n'\"", cursor="lone \udcff")
        store.create_transfer(transfer)
        assert store.load_transfer("nightly") == transfer
        assert again.load_transfer("nightly") == transfer

    @pytest.mark.parametrize("transfer_id", ["a", "A" * 128, "backup-20261122", "a.b_c+d=e@f:g"])
    def test_every_transfer_id_can_be_stored(self, store: CheckpointStore, transfer_id: str) -> None:
        store.create_transfer(_transfer(transfer_id))
        assert store.load_transfer(transfer_id).id == transfer_id

    @pytest.mark.parametrize("transfer_id", ["", ".", "..", "../x", "a/b", "/etc", "a\x00b", "x" * 129, ".hidden"])
    def test_no_other_id_is_stored_or_found(self, store: CheckpointStore, transfer_id: str) -> None:
        with pytest.raises(InvalidTransferIdError):
            store.create_transfer(_transfer(transfer_id))
        if "\x00" not in transfer_id:
            with pytest.raises(TransferNotFoundError):
                store.load_transfer(transfer_id)

    def test_an_id_is_created_once(self, store: CheckpointStore) -> None:
        first = _transfer()
        store.create_transfer(first)
        with pytest.raises(TransferExistsError):
            store.create_transfer(_transfer().evolve(error="another"))
        assert store.load_transfer("nightly") == first

    def test_one_of_many_creators_wins(self, store: CheckpointStore) -> None:
        def create(index: int) -> bool:
            try:
                store.create_transfer(_transfer().evolve(error=str(index)))
            except TransferExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(create, range(8))) == 1

    def test_transfers_are_listed_newest_first(self, store: CheckpointStore) -> None:
        assert list(store.list_transfers()) == []
        made = [_transfer(name).evolve(created_at=now()) for name in ("b", "c", "a")]
        for transfer in (made[1], made[0], made[2]):
            store.create_transfer(transfer)
        assert list(store.list_transfers()) == made[::-1]

    def test_an_unknown_id_is_not_found(self, store: CheckpointStore) -> None:
        store.create_transfer(_transfer("known"))
        lease = Lease(transfer_id="unknown", token=1, holder=_HOLDER, expires_at=now())
        batch = Batch.cut("unknown", 1, _items("a"))
        calls: list[Callable[[], object]] = [
            lambda: store.load_transfer("unknown"),
            lambda: store.delete_transfer("unknown"),
            lambda: store.post_request("unknown", Request.CANCEL),
            lambda: store.withdraw_request("unknown", Request.PAUSE),
            lambda: store.pending_request("unknown"),
            lambda: store.acquire_lease("unknown", _HOLDER, 60),
            lambda: store.renew_lease(lease, 60),
            lambda: store.current_lease("unknown"),
            lambda: store.save_transfer(lease, _transfer("unknown")),
            lambda: store.append_batch(lease, _transfer("unknown").evolve(batches=1), batch, _items("a")),
            lambda: store.save_batch(lease, batch),
            lambda: store.load_batch("unknown", 1),
            lambda: store.load_batch("known", 1),
            lambda: store.load_manifest("known", 1),
            lambda: list(store.list_batches("unknown")),
            lambda: store.ledger("unknown"),
        ]
        for call in calls:
            with pytest.raises(TransferNotFoundError):
                call()
        store.release_lease(lease)

    def test_delete_removes_everything(self, store: CheckpointStore, driver: _Driver) -> None:
        batch = driver.append(_items("a", "b"))
        driver.save(batch.intend(uuid4(), None))
        store.post_request("nightly", Request.CANCEL)
        store.create_transfer(_transfer("other"))
        store.release_lease(driver.lease)
        store.delete_transfer("nightly")
        with pytest.raises(TransferNotFoundError):
            store.load_transfer("nightly")
        assert [transfer.id for transfer in store.list_transfers()] == ["other"]
        store.create_transfer(_transfer())
        assert _everything(store, "nightly")[1:] == ([], [], None)
        assert store.pending_request("nightly") is None

    def test_delete_is_refused_while_somebody_drives(self, store: CheckpointStore, driver: _Driver) -> None:
        with pytest.raises(LeaseHeldError) as caught:
            store.delete_transfer("nightly")
        assert _HOLDER.description in str(caught.value)
        assert store.load_transfer("nightly") == driver.transfer

    @pytest.mark.parametrize("request_", list(Request))
    def test_a_request_is_seen_by_others_until_it_is_withdrawn(
        self, store: CheckpointStore, again: CheckpointStore, request_: Request
    ) -> None:
        store.create_transfer(_transfer())
        assert again.pending_request("nightly") is None
        store.withdraw_request("nightly", request_)
        store.post_request("nightly", request_)
        store.post_request("nightly", request_)
        assert again.pending_request("nightly") is request_
        again.withdraw_request("nightly", request_)
        assert store.pending_request("nightly") is None

    @pytest.mark.parametrize("first", list(Request))
    @pytest.mark.parametrize("second", list(Request))
    def test_a_later_request_takes_the_place_of_any_but_a_cancel(
        self, store: CheckpointStore, first: Request, second: Request
    ) -> None:
        store.create_transfer(_transfer())
        store.post_request("nightly", first)
        store.post_request("nightly", second)
        assert store.pending_request("nightly") is (first if first is Request.CANCEL else second)

    def test_withdrawing_a_request_leaves_another_one(self, store: CheckpointStore) -> None:
        store.create_transfer(_transfer())
        store.post_request("nightly", Request.PAUSE_NOW)
        store.withdraw_request("nightly", Request.PAUSE)
        assert store.pending_request("nightly") is Request.PAUSE_NOW
        store.post_request("nightly", Request.CANCEL)
        store.withdraw_request("nightly", Request.PAUSE_NOW)
        assert store.pending_request("nightly") is Request.CANCEL

    def test_a_request_outlives_the_driver_and_its_writes(self, store: CheckpointStore, driver: _Driver) -> None:
        store.post_request("nightly", Request.PAUSE)
        driver.append(_items("a"))
        store.save_transfer(driver.lease, driver.transfer.evolve(error="x"))
        store.release_lease(driver.lease)
        store.acquire_lease("nightly", _OTHER, 60)
        assert store.pending_request("nightly") is Request.PAUSE

    # --- the lease

    def test_a_lease_excludes_others(self, store: CheckpointStore, again: CheckpointStore) -> None:
        store.create_transfer(_transfer())
        assert store.current_lease("nightly") is None
        lease = store.acquire_lease("nightly", _HOLDER, 60)
        assert again.current_lease("nightly") == lease
        assert 55 < (lease.expires_at - now()).total_seconds() < 65
        for holder in (_HOLDER, _OTHER):
            with pytest.raises(LeaseHeldError) as caught:
                again.acquire_lease("nightly", holder, 60)
            assert _HOLDER.description in str(caught.value)

    def test_an_expired_lease_is_taken_over_under_a_higher_token(self, store: CheckpointStore) -> None:
        store.create_transfer(_transfer())
        old = store.acquire_lease("nightly", _HOLDER, 0.05)
        time.sleep(0.1)
        assert store.current_lease("nightly") is None
        new = store.acquire_lease("nightly", _OTHER, 60)
        assert new.token > old.token
        assert store.current_lease("nightly") == new

    def test_an_expired_lease_that_nobody_took_still_writes(self, store: CheckpointStore, driver: _Driver) -> None:
        lease = store.renew_lease(driver.lease, 0.01)
        time.sleep(0.05)
        store.save_transfer(lease, driver.transfer.evolve(error="late"))
        assert store.load_transfer("nightly").error == "late"
        assert store.renew_lease(lease, 60).token == lease.token
        assert store.current_lease("nightly") is not None

    def test_the_lease_of_a_dead_holder_is_replaced(self, store: CheckpointStore) -> None:
        store.create_transfer(_transfer())
        dead = store.acquire_lease("nightly", _HOLDER, 60)
        with pytest.raises(LeaseHeldError):
            store.acquire_lease("nightly", _OTHER, 60, replacing=dead.token - 1)
        new = store.acquire_lease("nightly", _OTHER, 60, replacing=dead.token)
        assert new.token > dead.token
        with pytest.raises(LeaseHeldError):
            store.acquire_lease("nightly", _HOLDER, 60, replacing=dead.token)

    def test_a_renewed_lease_lasts_longer(self, store: CheckpointStore) -> None:
        store.create_transfer(_transfer())
        lease = store.acquire_lease("nightly", _HOLDER, 0.1)
        renewed = store.renew_lease(lease, 60)
        assert (renewed.token, renewed.holder) == (lease.token, lease.holder)
        time.sleep(0.15)
        assert store.current_lease("nightly") == renewed

    def test_a_released_lease_is_free_and_never_comes_back(self, store: CheckpointStore, driver: _Driver) -> None:
        batch = driver.append(_items("a"))
        store.release_lease(driver.lease)
        store.release_lease(driver.lease)
        assert store.current_lease("nightly") is None
        for write in driver.writes(batch).values():
            with pytest.raises(LeaseLostError):
                write(driver.lease)
        assert store.acquire_lease("nightly", _OTHER, 60).token > driver.lease.token

    def test_releasing_an_old_lease_leaves_the_new_one(self, store: CheckpointStore, driver: _Driver) -> None:
        new = store.acquire_lease("nightly", _OTHER, 60, replacing=driver.lease.token)
        store.release_lease(driver.lease)
        assert store.current_lease("nightly") == new

    def test_one_of_many_threads_gets_the_lease(self, store: CheckpointStore) -> None:
        store.create_transfer(_transfer())

        def acquire(index: int) -> bool:
            try:
                store.acquire_lease("nightly", Holder(description=f"thread {index}"), 60)
            except LeaseHeldError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(acquire, range(16))) == 1

    @pytest.mark.parametrize("write", ["save_transfer", "append_batch", "save_batch", "renew_lease"])
    def test_a_write_with_an_old_lease_is_refused_and_changes_nothing(
        self, store: CheckpointStore, driver: _Driver, write: str
    ) -> None:
        batch = driver.append(_items("a"))
        new = store.acquire_lease("nightly", _OTHER, 60, replacing=driver.lease.token)
        before = _everything(store, "nightly")
        with pytest.raises(LeaseLostError):
            driver.writes(batch)[write](driver.lease)
        assert _everything(store, "nightly") == before
        driver.writes(batch)[write](new)

    @pytest.mark.parametrize("write", ["save_transfer", "append_batch", "save_batch"])
    def test_a_lease_of_another_transfer_is_refused(self, store: CheckpointStore, driver: _Driver, write: str) -> None:
        batch = driver.append(_items("a"))
        other = _Driver(store, "other")
        before = _everything(store, "nightly")
        with pytest.raises(LeaseLostError):
            driver.writes(batch)[write](other.lease)
        assert _everything(store, "nightly") == before

    def test_a_lease_of_a_deleted_transfer_cannot_write_to_its_namesake(self, store: CheckpointStore) -> None:
        driver = _Driver(store)
        batch = driver.append(_items("a"))
        store.release_lease(driver.lease)
        store.delete_transfer("nightly")
        _Driver(store).append(_items("a"))
        for write in driver.writes(batch).values():
            with pytest.raises(LeaseLostError):
                write(driver.lease)

    # --- what the driver writes

    def test_a_saved_transfer_comes_back(self, store: CheckpointStore, again: CheckpointStore, driver: _Driver) -> None:
        changed = driver.transfer.evolve(status=TransferStatus.FAILED, error="no", scan_complete=True, updated_at=now())
        store.save_transfer(driver.lease, changed)
        assert again.load_transfer("nightly") == changed

    def test_a_transition_that_is_not_in_the_table_is_refused(self, store: CheckpointStore, driver: _Driver) -> None:
        canceled = driver.transfer.evolve(status=TransferStatus.CANCELED)
        store.save_transfer(driver.lease, canceled)
        with pytest.raises(InvalidTransitionError):
            store.save_transfer(driver.lease, canceled.evolve(status=TransferStatus.SCANNING, error="changed"))
        with pytest.raises(InvalidTransitionError):
            driver.append(_items("a"))
        assert _everything(store, "nightly")[:3] == (canceled, [], [])

    def test_batches_are_appended_in_order(self, store: CheckpointStore, driver: _Driver) -> None:
        driver.append(_items("a"))
        items = _items("b")
        for number in (1, 3):
            batch = Batch.cut("nightly", number, items)
            with pytest.raises(InvalidTransitionError):
                store.append_batch(driver.lease, driver.transfer.evolve(batches=number), batch, items)
        driver.append(items)
        assert [batch.number for batch in store.list_batches("nightly")] == [1, 2]
        assert [item.path for item in store.iter_items("nightly")] == ["a", "b"]

    def test_an_old_view_of_the_transfer_cannot_lose_a_batch(self, store: CheckpointStore, driver: _Driver) -> None:
        old = driver.transfer
        driver.append(_items("a"))
        with pytest.raises(InvalidTransitionError):
            store.save_transfer(driver.lease, old.evolve(status=TransferStatus.SCANNING))
        assert store.load_transfer("nightly") == driver.transfer

    def test_the_cursor_moves_with_the_batch(self, again: CheckpointStore, driver: _Driver) -> None:
        driver.append(_items("a", "b"))
        stored = again.load_transfer("nightly")
        assert (stored.batches, stored.cursor, stored.status) == (1, "b", TransferStatus.SCANNING)

    def test_odd_paths_come_back_exactly(self, again: CheckpointStore, driver: _Driver) -> None:
        kinds = list(ItemType)
        items = [Item(path, 2**50 + n, -n, kinds[n % 4]) for n, path in enumerate(ODD_PATHS)]
        for item in items:
            driver.append([item])
        assert list(again.iter_items("nightly")) == items
        assert [again.load_paths("nightly", number + 1) for number in range(len(items))] == [
            [path] for path in ODD_PATHS
        ]
        assert [batch.first_path for batch in again.list_batches("nightly")] == list(ODD_PATHS)
        batch = again.load_batch("nightly", 8)
        fault = ItemFault(path=batch.first_path, outcome=Outcome.DEAD, code="é", attempt=0)
        driver.save(batch.set_aside([items[7]], {batch.first_path: fault}))
        assert again.load_batch("nightly", 8).faults == (fault,)

    def test_a_source_that_is_one_file_has_an_empty_path(self, store: CheckpointStore, driver: _Driver) -> None:
        driver.append([Item("", 5, 6)])
        assert store.load_manifest("nightly", 1) == [Item("", 5, 6)]

    def test_many_batches_are_listed_in_order(self, store: CheckpointStore, driver: _Driver) -> None:
        batches = [driver.append(_items(f"{n:03}/a", f"{n:03}/b")) for n in range(1, 13)]
        assert list(store.list_batches("nightly")) == batches
        assert store.load_batch("nightly", 12) == batches[-1]
        assert store.ledger("nightly") == Ledger.total(batch.ledger for batch in batches)

    def test_a_batch_may_be_appended_with_items_set_aside(self, again: CheckpointStore, driver: _Driver) -> None:
        items = [Item("a", 1, 2, ItemType.OTHER)]
        fault = ItemFault(path="a", outcome=Outcome.SKIPPED, code="NOT_A_FILE", attempt=0)
        batch = Batch.cut("nightly", 1, items).set_aside(items, {"a": fault})
        grown = driver.transfer.evolve(status=TransferStatus.SCANNING, batches=1)
        driver.store.append_batch(driver.lease, grown, batch, items)
        assert again.load_batch("nightly", 1) == batch

    def test_a_batch_through_its_life(self, store: CheckpointStore, again: CheckpointStore, driver: _Driver) -> None:
        items = _items("a", "b", "c", "d")
        batch = driver.append(items)
        assert again.load_batch("nightly", 1) == batch
        batch = driver.save(batch.intend(uuid4(), now()))
        assert again.load_batch("nightly", 1) == batch
        batch = driver.save(batch.submitted(uuid4()))
        assert again.load_batch("nightly", 1) == batch
        failed = Settlement(
            status=AttemptStatus.FAILED,
            moved={"a": 7},
            skipped={"b": "PERMISSION_DENIED"},
            error="QUOTA",
            faults=7,
        )
        batch = driver.save(batch.settle(items, failed))
        assert again.load_batch("nightly", 1) == batch
        batch = driver.save(batch.intend(uuid4(), None).submitted(uuid4()))
        fault = ItemFault(path="c", outcome=Outcome.DEAD, code="FILE_NOT_FOUND", attempt=2)
        batch = driver.save(batch.set_aside(items, {"c": fault}))
        batch = driver.save(batch.settle(items, Settlement(status=AttemptStatus.SUCCEEDED, moved=None)))
        assert again.load_batch("nightly", 1) == batch
        assert batch.status is BatchStatus.PARTIAL
        assert store.ledger("nightly") == batch.ledger
        assert [(fault.path, fault.code) for fault in batch.faults] == [
            ("a", SOURCE_CHANGED),
            ("b", "PERMISSION_DENIED"),
            ("c", "FILE_NOT_FOUND"),
        ]

    def test_an_attempt_comes_back_with_all_that_is_known_of_it(self, again: CheckpointStore, driver: _Driver) -> None:
        items = _items("a", "b", "c")
        batch = driver.append(items)
        batch = driver.save(batch.intend(uuid4(), now(), span=(1, 3), slot=uuid4()))
        assert again.load_batch("nightly", 1) == batch
        batch = driver.save(batch.submitted(uuid4(), adopted=True))
        assert again.load_batch("nightly", 1) == batch
        batch = driver.save(batch.ending("PERMISSION_DENIED", {"PERMISSION_DENIED": 3, "TIMEOUT": 1}))
        assert again.load_batch("nightly", 1) == batch
        settlement = Settlement(
            status=AttemptStatus.CANCELED,
            moved={"b": 2},
            exact=False,
            files_transferred=1,
            bytes_transferred=2**50,
            faults=4,
        )
        batch = driver.save(batch.settle(items, settlement))
        assert again.load_batch("nightly", 1) == batch
        (attempt,) = again.load_batch("nightly", 1).attempts
        assert (attempt.span, attempt.adopted, attempt.error) == ((1, 3), True, "PERMISSION_DENIED")
        assert (attempt.codes, attempt.faults) == ({"PERMISSION_DENIED": 3, "TIMEOUT": 1}, 4)

    def test_the_history_of_an_item_only_grows(self, again: CheckpointStore, driver: _Driver) -> None:
        items = _items("a", "b")
        batch = driver.append(items)
        for code in ("FIRST", "SECOND"):
            dead = {path: ItemFault(path=path, outcome=Outcome.DEAD, code=code, attempt=0) for path in ("a", "b")}
            batch = driver.save(batch.set_aside(items, dead))
            assert again.load_batch("nightly", 1) == batch
            batch = driver.save(batch.redrive(items, lambda fault: fault.path == "b"))
            assert again.load_batch("nightly", 1) == batch
            assert again.ledger("nightly") == batch.ledger
        history = [(fault.code, fault.outcome) for fault in again.load_batch("nightly", 1).faults if fault.path == "b"]
        assert history == [
            ("FIRST", Outcome.DEAD),
            (REDRIVEN, Outcome.REMAINING),
            ("SECOND", Outcome.DEAD),
            (REDRIVEN, Outcome.REMAINING),
        ]
        assert all(fault.at is not None for fault in again.load_batch("nightly", 1).faults)

    def test_dead_letters_may_be_tried_again(self, store: CheckpointStore, driver: _Driver) -> None:
        items = _items("a", "b")
        batch = driver.append(items)
        dead = {path: ItemFault(path=path, outcome=Outcome.DEAD, code="X", attempt=0) for path in ("a", "b")}
        batch = driver.save(batch.set_aside(items, dead))
        batch = driver.save(batch.redrive(items).intend(uuid4(), None).submitted(uuid4()))
        batch = driver.save(batch.settle(items, Settlement(status=AttemptStatus.SUCCEEDED, moved=None)))
        assert store.load_batch("nightly", 1) == batch
        assert (batch.status, batch.noted) == (BatchStatus.DONE, {})

    def test_a_batch_cannot_go_back(self, store: CheckpointStore, driver: _Driver) -> None:
        items = _items("a")
        batch = driver.append(items)
        sent = batch.intend(uuid4(), None).submitted(uuid4())
        done = driver.save(sent.settle(items, Settlement(status=AttemptStatus.SUCCEEDED, moved=None)))
        for earlier in (batch, sent, sent.give_up()):
            with pytest.raises(InvalidTransitionError):
                driver.save(earlier)
        assert store.load_batch("nightly", 1) == done

    def test_a_batch_has_one_live_attempt_at_most(self, store: CheckpointStore, driver: _Driver) -> None:
        batch = driver.save(driver.append(_items("a")).intend(uuid4(), None))
        first = batch.attempts[0]
        second = first.evolve(number=2, submission_id=uuid4())
        with pytest.raises(InvalidTransitionError):
            driver.save(batch.evolve(attempts=(first, second)))
        assert store.load_batch("nightly", 1) == batch

    def test_a_batch_that_is_not_there_cannot_be_saved(self, driver: _Driver) -> None:
        with pytest.raises(TransferNotFoundError):
            driver.save(Batch.cut("nightly", 1, _items("a")))

    # --- what everybody reads

    def test_a_ledger_of_nothing_is_empty(self, store: CheckpointStore, driver: _Driver) -> None:
        assert store.ledger(driver.transfer.id) == Ledger()

    def test_a_ledger_sums_all_columns(self, store: CheckpointStore, driver: _Driver) -> None:
        everything = (Outcome.TRANSFERRED, Outcome.UNCHANGED, Outcome.SKIPPED, Outcome.DEAD, Outcome.REMAINING)
        items = _items(*"abcde")
        first = driver.append(items)
        mixed = first.evolve(status=BatchStatus.PARTIAL, outcomes=bytes(everything), bytes_transferred=1)
        driver.save(mixed)
        second = driver.append([Item("f", 2**60, 0)])
        done = second.evolve(status=BatchStatus.DONE, outcomes=bytes([Outcome.TRANSFERRED]), bytes_transferred=2**60)
        driver.save(done)
        ledger = store.ledger("nightly")
        assert ledger == mixed.ledger + done.ledger
        assert ledger.balances
        assert (ledger.batches, ledger.batches_done, ledger.bytes_transferred) == (2, 1, 2**60 + 1)

    def test_readers_may_write_while_they_list(self, store: CheckpointStore, driver: _Driver) -> None:
        for n in range(3):
            driver.append(_items(str(n)))
        for batch in store.list_batches("nightly"):
            driver.save(batch.intend(uuid4(), None))
        assert all(batch.attempts for batch in store.list_batches("nightly"))

    def test_threads_write_different_batches_at_once(self, store: CheckpointStore, driver: _Driver) -> None:
        batches = [driver.append(_items(f"{n}/a", f"{n}/b")) for n in range(6)]

        def live(batch: Batch) -> None:
            items = store.load_manifest("nightly", batch.number)
            active = driver.save(batch.intend(uuid4(), None))
            active = driver.save(active.submitted(UUID(int=batch.number)))
            driver.save(active.settle(items, Settlement(status=AttemptStatus.SUCCEEDED, moved=None)))
            store.renew_lease(driver.lease, 60)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(live, batches))
        ledger = store.ledger("nightly")
        assert (ledger.items, ledger.transferred, ledger.batches_done) == (12, 12, 6)
        assert [batch.attempts[0].task_id for batch in store.list_batches("nightly")] == [
            UUID(int=n) for n in range(1, 7)
        ]

    # --- results

    def test_a_result_comes_back_and_is_replaced(self, store: CheckpointStore, again: CheckpointStore) -> None:
        for key in ("plain", "with/slash", "../../up", "prefect-globus/x", "/abs", "é" * 100):
            with pytest.raises(FileNotFoundError):
                store.read_path(key)
            store.write_path(key, b"\x00first")
            store.write_path(key, b"\xffsecond")
            assert again.read_path(key) == b"\xffsecond"
            asyncio.run(store.awrite_path(key, b""))
            assert asyncio.run(again.aread_path(key)) == b""

    def test_a_batch_that_is_done_is_a_result_for_prefect(self, store: CheckpointStore, driver: _Driver) -> None:
        key = batch_result_key("nightly", 1)
        items = _items("a", "b")
        with pytest.raises(FileNotFoundError):
            store.read_path(key)
        batch = driver.append(items)
        store.write_path(key, b"what Prefect thinks the result is")
        with pytest.raises(FileNotFoundError):
            store.read_path(key)
        active = driver.save(batch.intend(uuid4(), None).submitted(uuid4()))
        with pytest.raises(FileNotFoundError):
            store.read_path(key)
        done = driver.save(active.settle(items, Settlement(status=AttemptStatus.SUCCEEDED, moved=None)))
        for path in (key, f"some/base/path/{key}"):
            record: ResultRecord[Ledger] = ResultRecord.deserialize(store.read_path(path))
            assert Ledger.model_validate(record.result) == done.ledger

    def test_a_store_can_be_copied_after_it_was_used(self, store: CheckpointStore, driver: _Driver) -> None:
        assert copy.deepcopy(store).load_transfer("nightly") == driver.transfer
