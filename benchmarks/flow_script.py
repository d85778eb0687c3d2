"""The same with the flow. Prints the seconds it took, imports not counted."""

from __future__ import annotations

import os
import sys
import time

from prefect_globus import GlobusCredentials, TransferOptions, resumable_transfer


def main() -> None:
    """Move one location to another."""
    began = time.monotonic()
    credentials = GlobusCredentials(client_id="6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", client_secret=os.urandom(8).hex())
    options = TransferOptions(poll_interval=0.5)
    result = resumable_transfer(sys.argv[1], sys.argv[2], options, credentials=credentials)
    print(result.status, time.monotonic() - began)


if __name__ == "__main__":
    main()
