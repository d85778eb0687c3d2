"""The same with the flow."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from contestant import contend

from prefect_globus import GlobusCredentials, TransferOptions, plan_transfer, resumable_transfer


def main() -> None:
    """Move one location to another, or go on with that."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("source")
    arguments.add_argument("destination")
    arguments.add_argument("--list", action="store_true", help="only list the source: make a plan")
    arguments.add_argument("--id", help="of the transfer")
    arguments.add_argument("--options", type=json.loads, default={})
    arguments.add_argument("--credentials", type=json.loads, default={})
    given = arguments.parse_args()
    contend(lambda: run(given))


def run(given: argparse.Namespace) -> dict[str, Any]:
    credentials = GlobusCredentials(
        client_id="6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", client_secret=os.urandom(8).hex(), **given.credentials
    )
    options = TransferOptions(**{"poll_interval": 0.5} | given.options)
    if given.list:
        plan = plan_transfer(given.source, given.destination, options, compare=False, credentials=credentials)
        return {"files": plan.total.items}
    result = resumable_transfer(given.source, given.destination, options, given.id, credentials=credentials)
    facts = result.model_dump(mode="json", include={"status", "items_transferred", "batches_total"})
    return dict(facts)


if __name__ == "__main__":
    main()
