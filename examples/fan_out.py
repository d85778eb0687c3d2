"""Begin the next step on each batch as it lands, before the whole transfer is there.

A flow transfers a folder in batches of four files, and counts the numbers in each file as soon as its batch has landed.
Run it with `python examples/fan_out.py`.
"""

from __future__ import annotations

from pathlib import Path

from playground import playground
from prefect import flow, task
from prefect.futures import wait

from prefect_globus import LandedBatch, TransferOptions, landing, transfer_status


@task
def count_numbers(batch: LandedBatch, folder: Path) -> int:
    """What a pipeline does with a batch: the files are there, under the paths that they have at the destination."""
    total = sum((folder / item.path).read_text().count(",") for item in batch.items)
    there = transfer_status(batch.transfer_id).items_transferred
    print(f"Batch {batch.number} has landed: {total} numbers. {there} files are there so far.", flush=True)
    return total


@flow
def fan_out(source: str, destination: str, folder: Path) -> int:
    """Transfer, and count meanwhile."""
    options = TransferOptions(batch_size=4, max_concurrency=1, poll_interval=0.5)
    with landing(source, destination, "fan-out", options) as batches:
        counts = [count_numbers.submit(batch, folder) for batch in batches]
    wait(counts)
    return sum(each.result() for each in counts)


if __name__ == "__main__":
    with playground(files=16, file_delay=0.2) as place:
        total = fan_out(place.source, place.destination, place.folder / "archive")
        print(f"All is there: {total} numbers in {transfer_status('fan-out').items_transferred} files.")
