"""A fuse between the engine and what it works with: when it blows, the driver is as dead as if it had been killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import globus_sdk
import requests
from requests.adapters import HTTPAdapter

from prefect_globus import CheckpointStore
from prefect_globus.transfers.errors import StoreUnavailableError
from support.boundaries import WRITES


class Crash(BaseException):
    """No code of the engine can handle it, as none can handle a SIGKILL."""


class Fuse:
    """Lets calls and writes through, up to the one at which it is to blow; then nothing gets through any more.

    The boundaries are those of `support.boundaries`: before and after each HTTP call and each write. What the heartbeat
    crosses in its own thread is not counted.
    """

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._left: int | None = None
        self._blown = False
        self._thread = threading.get_ident()

    def blow_after(self, crossings: int) -> None:
        """Blow at the boundary after so many others."""
        self._left = crossings

    def blow(self) -> None:
        """Blow now."""
        self._blown = True

    def hold(self) -> None:
        """Do not blow, unless that has happened."""
        self._left = None

    def around(self, call: Callable[[], Any]) -> Any:
        """Make a call between two boundaries."""
        self.cross()
        answer = call()
        self.cross()
        return answer

    def check(self) -> None:
        """Raise as a dead process would end, when it has blown."""
        if self._blown and threading.get_ident() == self._thread:
            raise Crash
        if self._blown:  # the heartbeat has to end by itself
            raise StoreUnavailableError(store="the store", reason="this driver is dead")

    def cross(self) -> None:
        """Be at a boundary."""
        self.check()
        if self._left is not None and threading.get_ident() == self._thread:
            self._left -= 1
            self._blown = self._left < 0
            self.check()

    def get_transfer_client(self) -> globus_sdk.TransferClient:
        """As the credentials', through the fuse."""
        client: globus_sdk.TransferClient = self._credentials.get_transfer_client()
        client.transport.session.mount("http://", _Adapter(self))
        return client


class _Adapter(HTTPAdapter):
    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    def send(self, request: requests.PreparedRequest, *args: Any, **named: Any) -> requests.Response:
        self._fuse.cross()
        response: requests.Response = super().send(request, *args, **named)
        try:
            self._fuse.cross()
        except Crash:
            response.close()  # the kernel would
            raise
        return response


class FusedStore:
    """A store behind a fuse."""

    def __init__(self, store: CheckpointStore, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def fused(*args: Any, **named: Any) -> Any:
            if name in WRITES:
                return self._fuse.around(lambda: method(*args, **named))
            self._fuse.check()
            return method(*args, **named)

        return fused
