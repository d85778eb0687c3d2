"""Ask for a token of a token file in eight threads at once, when told to: `renewing.py FILE AUTH_URL`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect_globus.blocks.token_store import TokenStore

TRANSFER = "transfer.api.globus.org"

if __name__ == "__main__":
    store = TokenStore(Path(sys.argv[1]), sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: store.access_token(TRANSFER, "").secret, range(8)))
    print(*sorted(tokens))
