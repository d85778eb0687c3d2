"""What only a store in files can get wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from prefect_globus.blocks import FileCheckpointStore
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import CorruptCheckpointError, StoreSchemaTooNewError, StoreUnavailableError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.model import Holder, Lease, Request, Transfer
from prefect_globus.transfers.states import TransferStatus

UUID_1 = "11111111-1111-1111-1111-111111111111"
FILES = ("transfer.json", "lease.json", "request", "batches/000001.json", "batches/000001.manifest")


@pytest.fixture
def store(tmp_path: Path) -> FileCheckpointStore:
    return FileCheckpointStore(basepath=tmp_path / "store")


def transfer(transfer_id: str = "t") -> Transfer:
    return Transfer.model_validate({"id": transfer_id, "source": f"{UUID_1}:/a", "destination": f"{UUID_1}:/b"})


def with_a_batch(store: FileCheckpointStore) -> tuple[Lease, Transfer]:
    store.create_transfer(transfer())
    store.post_request("t", Request.CANCEL)
    lease = store.acquire_lease("t", Holder(description="me"), 60)
    items = [Item("a", 1, 2)]
    grown = transfer().evolve(status=TransferStatus.SCANNING, batches=1)
    store.append_batch(lease, grown, Batch.cut("t", 1, items), items)
    return lease, grown


def read_all(store: FileCheckpointStore) -> None:
    store.load_transfer("t")
    store.current_lease("t")
    store.pending_request("t")
    store.load_batch("t", 1)
    store.load_manifest("t", 1)


def test_the_default_is_in_the_data_folder(tmp_path: Path) -> None:
    FileCheckpointStore().create_transfer(transfer())
    assert (tmp_path / "home/data/prefect-globus/checkpoints/transfers/t/transfer.json").exists()


def test_only_the_owner_can_read(store: FileCheckpointStore) -> None:
    with_a_batch(store)
    store.write_result("key", b"x")
    for path in [store.basepath, *store.basepath.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_nothing_temporary_is_left(store: FileCheckpointStore) -> None:
    with_a_batch(store)
    assert {
        str(path.relative_to(store.basepath / "transfers/t")) for path in store.basepath.rglob("transfers/t/**/*")
    } == {
        "batches",
        ".lock",
        *FILES,
    }


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "altered", "emptied", "foreign"])
def test_damage_is_corrupt_and_names_the_file(store: FileCheckpointStore, name: str, damage: str) -> None:
    with_a_batch(store)
    path = store.basepath / "transfers/t" / name
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[:-1],
        "altered": whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:],
        "emptied": b"",
        "foreign": b'{"id": "t"}',
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(CorruptCheckpointError, match=path.name):
        read_all(store)


def test_a_damaged_transfer_hides_no_other(store: FileCheckpointStore) -> None:
    with_a_batch(store)
    store.create_transfer(store.load_transfer("t").evolve(id="good", batches=0))
    (store.basepath / "transfers/t/transfer.json").write_bytes(b"")
    listed = store.list_transfers()
    assert next(listed).id == "good"
    with pytest.raises(CorruptCheckpointError, match=r"t/transfer\.json"):
        next(listed)


@pytest.mark.parametrize("name", FILES)
def test_a_newer_format_is_refused(store: FileCheckpointStore, name: str) -> None:
    with_a_batch(store)
    path = store.basepath / "transfers/t" / name
    path.write_bytes(b"prefect-globus 2 other things\nand more")
    with pytest.raises(StoreSchemaTooNewError, match="2"):
        read_all(store)


def test_a_missing_batch_is_corrupt(store: FileCheckpointStore) -> None:
    with_a_batch(store)
    (store.basepath / "transfers/t/batches/000001.manifest").unlink()
    with pytest.raises(CorruptCheckpointError, match=r"000001\.manifest is missing"):
        store.load_manifest("t", 1)


def test_a_batch_without_its_commit_is_not_there_and_is_overwritten(store: FileCheckpointStore) -> None:
    lease, grown = with_a_batch(store)
    folder = store.basepath / "transfers/t"
    before = (folder / "transfer.json").read_bytes()
    items = [Item("half", 1, 2)]
    store.append_batch(lease, grown.evolve(batches=2), Batch.cut("t", 2, items), items)
    (folder / "transfer.json").write_bytes(before)  # as if power had gone before the commit
    assert [batch.number for batch in store.list_batches("t")] == [1]
    items = [Item("whole", 1, 2)]
    store.append_batch(lease, grown.evolve(batches=2), Batch.cut("t", 2, items), items)
    assert [item.path for item in store.iter_items("t")] == ["a", "whole"]


def test_a_folder_that_is_a_link_out_of_the_store_is_refused(store: FileCheckpointStore, tmp_path: Path) -> None:
    with_a_batch(store)
    (store.basepath / "transfers/t").rename(tmp_path / "elsewhere")
    (store.basepath / "transfers/t").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError, match="leads out"):
        store.load_transfer("t")


def test_a_path_that_is_no_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = FileCheckpointStore(basepath=tmp_path / "file")
    for call in (lambda: store.create_transfer(transfer()), lambda: store.load_transfer("t")):
        with pytest.raises(StoreUnavailableError):
            call()


def test_what_a_killed_delete_left_is_removed_by_the_next(store: FileCheckpointStore) -> None:
    store.create_transfer(transfer())
    store.create_transfer(transfer("other"))
    (store.basepath / "transfers/t").rename(store.basepath / "transfers/.deleted-by-the-dead")
    assert [found.id for found in store.list_transfers()] == ["other"]
    store.delete_transfer("other")
    assert list((store.basepath / "transfers").iterdir()) == []


def test_a_writer_killed_between_any_two_writes_leaves_a_readable_store(store: FileCheckpointStore) -> None:
    program = textwrap.dedent("""
        import sys
        from prefect_globus.blocks import FileCheckpointStore
        from prefect_globus.transfers.items import Item
        from prefect_globus.transfers.batches import Batch
        from prefect_globus.transfers.model import Holder
        from prefect_globus.transfers.states import TransferStatus
        store = FileCheckpointStore(basepath=sys.argv[1])
        lease = store.acquire_lease("t", Holder(description="me"), 600)
        transfer = store.load_transfer("t")
        for number in range(1, 100_000):
            items = [Item(f"{number}/{n}", n, n) for n in range(50)]
            transfer = transfer.evolve(status=TransferStatus.SCANNING, batches=number, cursor=items[-1].path)
            store.append_batch(lease, transfer, Batch.cut("t", number, items), items)
            print(number, flush=True)
    """)
    store.create_transfer(transfer())
    process = subprocess.Popen([sys.executable, "-c", program, str(store.basepath)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        seen = [int(output.readline()) for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in output if line.endswith("\n")]
    process.wait()
    stored = store.load_transfer("t")
    assert stored.batches in (seen[-1], seen[-1] + 1)
    assert len(list(store.iter_items("t"))) == 50 * stored.batches
    lease = store.current_lease("t")
    assert lease is not None
    again = store.acquire_lease("t", Holder(description="next"), 60, replacing=lease.token)  # its lock died with it
    items = [Item("more", 1, 1)]
    grown = stored.evolve(batches=stored.batches + 1)
    store.append_batch(again, grown, Batch.cut("t", grown.batches, items), items)
