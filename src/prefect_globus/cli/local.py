"""Transfers between plain folders: an emulator serves them for as long as the command runs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import click
from platformdirs import user_data_path

from prefect_globus.emulator.process import running_emulator
from prefect_globus.tasks.processes import is_gone
from prefect_globus.transfers.errors import InvalidInputError, LeaseHeldError, TransferNotFoundError
from prefect_globus.transfers.location import Location, check_transfer_id
from prefect_globus.transfers.model import Lease

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore

# The folders that collections are, as far as this process has met them: people know those, and no UUIDs.
_folders: dict[str, str] = {}

_NAMESPACE = uuid.UUID("0b0c3e0e-6d6b-5a39-9d5c-6b5c9c3f8a10")
_UUID = re.compile(r"\s*[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}:", re.IGNORECASE)
_LOOK_SECONDS = 0.5
_HANDOVER_SECONDS = 60.0  # for another process to start or to end, when it holds the state but not yet the lease


class LocalInUseError(click.ClickException):
    """Another process serves the folders of this transfer, without driving it."""


class Place(NamedTuple):
    """A file or folder, as the collection that serves it has it."""

    root: Path
    path: str

    @property
    def location(self) -> Location:
        """The location; a folder is the same collection every time."""
        return Location(collection=uuid.uuid5(_NAMESPACE, str(self.root)), path=self.path)

    @property
    def spec(self) -> str:
        """What to tell the emulator."""
        collection = self.location.collection
        return f"local-{collection}@{collection}={self.root}"


class Places(NamedTuple):
    """Where a local transfer goes from and to."""

    source: Place
    destination: Place

    @classmethod
    def of(cls, source: str, destination: str) -> Self | None:
        """The places that are meant, or None when both are locations on Globus; makes nothing.

        Raises:
            InvalidInputError: one is plain and the other is not, the source does not exist, or the destination is
                inside it or cannot be one.
        """
        plain = [text for text in (source, destination) if not _UUID.match(text)]
        if not plain:
            return None
        if len(plain) == 1:
            reason = "SRC and DST must both be locations, as UUID:/path, or both be plain files or folders"
            raise InvalidInputError(reason=f"{reason}; {plain[0]!r} is plain and the other is not")
        origin = Path(source).expanduser().resolve()
        if not origin.exists():
            raise InvalidInputError(reason=f"the source {source} does not exist (a location would be UUID:/path)")
        target = Path(destination).expanduser().resolve()
        if origin.is_file() and (target.is_dir() or destination.endswith("/")):
            target /= Path(source).name
        _check_target(origin, target)
        places = cls(Place(origin, "/"), Place(target, "/"))
        if origin.is_file():
            places = cls(Place(origin.parent, f"/{origin.name}"), Place(target.parent, f"/{target.name}"))
        _meet(places.specs)
        return places

    def make_destination(self) -> None:
        """Make the folder that the destination's collection is.

        Raises:
            InvalidInputError: it cannot be made.
        """
        try:
            self.destination.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"the folder {self.destination.root} cannot be made: {error.strerror}"
            raise InvalidInputError(reason=reason) from error

    @property
    def specs(self) -> list[str]:
        """What to tell the emulator: each folder once."""
        return list(dict.fromkeys((self.source.spec, self.destination.spec)))

    @property
    def locations(self) -> tuple[Location, Location]:
        """Both, as Globus would have them."""
        return self.source.location, self.destination.location


def _check_target(origin: Path, target: Path) -> None:
    if target == origin or origin in target.parents:
        reason = f"the destination {target} lies inside the source {origin}: the transfer would copy its own copies"
        raise InvalidInputError(reason=f"{reason}. Choose a destination outside the source")
    if origin.is_dir() and target.exists() and not target.is_dir():
        raise InvalidInputError(reason=f"the source is a folder, but the destination {target} is a file")


def is_local(transfer_id: str) -> bool:
    """Whether the emulator has a state for the transfer ``transfer_id``."""
    return _state(transfer_id).exists()


def remember(transfer_id: str, specs: Sequence[str]) -> None:
    """Keep what the emulator is to serve for a transfer, also when there is nothing left to resume: to verify it."""
    path = _specs(transfer_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(json.dumps(specs), encoding="utf-8")


def remembered(transfer_id: str) -> list[str] | None:
    """What was to be remembered of a transfer; None when that was nothing."""
    try:
        specs: list[str] = json.loads(_specs(transfer_id).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    _meet(specs)
    return specs


def in_words(words: str) -> str:
    """``words`` with the folders of local transfers in the place of the collections that stand for them."""
    for collection, folder in _folders.items():
        words = words.replace(f"{collection}:/", folder)
    return words


def _meet(specs: Sequence[str]) -> None:
    for spec in specs:
        collection, _, folder = spec.partition("@")[2].partition("=")
        _folders[collection] = f"{folder.rstrip('/')}/"


def forget(transfer_id: str, *, specs: bool = False) -> None:
    """Delete the emulator's state for a transfer, if there is one, and if told so the ``specs`` that are remembered."""
    if specs:
        _specs(transfer_id).unlink(missing_ok=True)
    state = _state(transfer_id)
    for suffix in ("", "-wal", "-shm", ".lock"):
        state.with_name(state.name + suffix).unlink(missing_ok=True)


@contextmanager
def served(
    store: CheckpointStore, transfer_id: str, specs: list[str], *, wait: float, file_delay: float = 0.0
) -> Iterator[None]:
    """Serve the folders of a transfer, those in ``specs`` or else those of its state, and log us in there.

    Args:
        store: tells who drives the transfer.
        transfer_id: names the state, by which the emulator goes on where it was killed.
        specs: as the emulator takes them.
        wait: how long to wait while another process drives the transfer, in seconds.
        file_delay: seconds before each file; for demonstrations and tests.

    Raises:
        LeaseHeldError: another process drives the transfer.
        EmulatorProcessError: the emulator did not start, with what it said.
    """
    state = _state(transfer_id)
    state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    wait_until_free(store, transfer_id, wait)
    # Tasks belong to the client that submitted them, so a transfer needs the same one when it is resumed.
    with _served(uuid.uuid5(_NAMESPACE, transfer_id), specs, state, file_delay):
        yield


@contextmanager
def served_for_a_look(specs: list[str], folder: Path) -> Iterator[None]:
    """Serve folders to somebody who only looks at them, and log us in there; all that this needs is in ``folder``.

    Raises:
        EmulatorProcessError: the emulator did not start, with what it said.
    """
    with _served(uuid.uuid4(), specs, folder / "globus.db"):
        yield


@contextmanager
def _served(client: uuid.UUID, specs: list[str], state: Path, file_delay: float = 0.0) -> Iterator[None]:
    secret = secrets.token_urlsafe(32)
    login = {"GLOBUS_CLIENT_ID": str(client), "GLOBUS_CLIENT_SECRET": secret}
    with (
        running_emulator(specs, state=state, file_delay=file_delay, client=(str(client), secret)) as emulator,
        _environment({**emulator.environment(), **login}),
    ):
        yield


def wait_until_free(store: CheckpointStore, transfer_id: str, seconds: float) -> None:
    """Wait until nobody drives the transfer and no other emulator serves it; the lease says best who it is."""
    began = time.monotonic()
    while True:
        waited = time.monotonic() - began
        lease = live_lease(store, transfer_id)
        if lease is not None and waited >= seconds:
            expires_at = lease.expires_at.isoformat(" ", "seconds")
            raise LeaseHeldError(transfer_id=transfer_id, holder=lease.holder.description, expires_at=expires_at)
        if lease is None and not _is_locked(_state(transfer_id)):
            return
        if waited >= max(seconds, _HANDOVER_SECONDS):
            raise LocalInUseError(f"Another process serves the folders of transfer {transfer_id!r}. Wait for it.")
        time.sleep(_LOOK_SECONDS)


def live_lease(store: CheckpointStore, transfer_id: str) -> Lease | None:
    """The lease of whoever drives a transfer; None when nobody does, or when that process is known to be gone."""
    try:
        lease = store.current_lease(transfer_id)
    except TransferNotFoundError:
        return None
    return None if lease is None or is_gone(lease.holder) else lease


def _is_locked(state: Path) -> bool:
    try:
        descriptor = os.open(state.with_name(state.name + ".lock"), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _state(transfer_id: str) -> Path:
    return user_data_path("prefect-globus") / "local" / f"{check_transfer_id(transfer_id)}.db"


def _specs(transfer_id: str) -> Path:
    return _state(transfer_id).with_name(f"{transfer_id}.json")


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
