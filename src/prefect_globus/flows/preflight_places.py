"""What a preflight finds at Globus: the collections, the source and the destination of a transfer."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from prefect_globus.globus.service import Collection, Entry, GlobusService
from prefect_globus.transfers.errors import (
    DirectoryTooLargeError,
    GlobusConsentError,
    GlobusError,
    GlobusRefusedPathError,
    NotAsAWholeError,
)
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.preflight import Finding, Level
from prefect_globus.transfers.wholes import check_options

_HOME = "/~/"
_LOOKED_AT = 1000  # entries of the source's top directory
_PROBE_SECONDS = 60.0
_LOOK_SECONDS = 0.5


@dataclass
class Places:
    """The two ends of a transfer at Globus.

    Args:
        globus: the service.
        source: what is to be transferred.
        destination: where to.
        options: how.
        create: make the destination's directory, and so find out whether that can be done.
        probe_writes: make a directory at the destination and delete it again, to find out whether the login may write.
    """

    globus: GlobusService
    source: Location
    destination: Location
    options: TransferOptions
    create: bool = False
    probe_writes: bool = False
    source_is_file: bool | None = None

    def findings(self) -> Iterator[Finding]:
        """All that is found, in order. A collection that cannot be used is reported once."""
        usable = {}
        for collection in dict.fromkeys((self.source.collection, self.destination.collection)):
            finding = self._collection(collection)
            usable[collection] = finding.level is not Level.PROBLEM
            yield finding
        for check, location, look in (
            ("source", self.source, self._source),
            ("destination", self.destination, self._destination),
        ):
            if not usable[location.collection]:
                words = f"{location} was not looked at, because its collection cannot be used"
                yield Finding(check=check, level=Level.UNKNOWN, words=words)
                continue
            try:
                yield from look()
            except GlobusError as error:
                yield Finding.of("consent" if isinstance(error, GlobusConsentError) else check, error)

    def _collection(self, collection: UUID) -> Finding:
        try:
            found = self.globus.collection(collection)
        except GlobusError as error:
            return Finding.of("collection", error)
        return _state_of(collection, found)

    def _source(self) -> Iterator[Finding]:
        entry = self.globus.stat(self.source)
        if entry is None:
            mend = "Check the path, and that the login may read it"
            yield Finding(check="source", level=Level.PROBLEM, words=f"{self.source} does not exist", mend=mend)
            return
        self.source_is_file = not entry.is_directory
        if not entry.is_directory:
            words = f"{self.source} is one file of {entry.size} bytes; whether it can be read shows in the transfer"
            yield Finding(check="source", level=Level.OK, words=words)
            return
        try:
            entries = self.globus.list_directory(self.source, _LOOKED_AT)
        except DirectoryTooLargeError:
            yield self._as_a_whole()
            return
        words = f"{self.source} can be listed; whether all that is in it can be read shows in the transfer"
        yield Finding(check="source", level=Level.OK, words=words)
        yield from self._links(entries)

    def _as_a_whole(self) -> Finding:
        filtered = self.options.filter_callback is not None
        try:
            check_options(self.source, "", self.options, filtered=filtered)
        except NotAsAWholeError as error:
            return Finding.of("source", error)
        words = f"{self.source} has more entries than Globus lists, and is transferred as a whole"
        return Finding(check="source", level=Level.OK, words=words)

    def _links(self, entries: list[Entry]) -> Iterator[Finding]:
        links = sum(entry.link_target is not None for entry in entries)
        if links and self.options.symlinks == "ignore":
            words = f"{links} of the first {len(entries)} entries of {self.source} are symbolic links, to be left out"
            mend = "To transfer what they point to, set symlinks to follow (--symlinks follow)"
            yield Finding(check="symlinks", level=Level.WARNING, words=words, mend=mend)

    def _destination(self) -> Iterator[Finding]:
        entry = self.globus.stat(self.destination)
        if entry is not None and self.source_is_file is not None and entry.is_directory == self.source_is_file:
            yield self._other_kind(entry)
            return
        directory = self.destination if entry is not None and entry.is_directory else self._above(self.destination)
        if self.create and entry is None:
            yield self._create()
        elif self.probe_writes:
            yield self._probe(directory)
        else:
            yield self._unproved(directory, exists=entry is not None)

    def _other_kind(self, entry: Entry) -> Finding:
        if entry.is_directory:
            words = f"the source is one file, but {self.destination} is a directory"
            mend = f"Name the file, as in {self.destination.child(self.source.name)}"
        else:
            words = f"the source is a directory, but {self.destination} is a file"
            mend = "Name a directory, or a path that does not exist yet"
        return Finding(check="destination", level=Level.PROBLEM, words=words, mend=mend)

    def _above(self, location: Location) -> Location:
        """The nearest directory above that exists."""
        path = posixpath.dirname(location.path)
        parent = location.evolve(path=_HOME if path == _HOME.rstrip("/") else path)
        if parent.path in ("/", _HOME) or self.globus.stat(parent) is not None:
            return parent
        return self._above(parent)

    def _create(self) -> Finding:
        is_file = self.source_is_file
        path = posixpath.dirname(self.destination.path) if is_file else self.destination.path
        directory = self.destination.evolve(path=path)
        try:
            self.globus.make_directories(directory)
        except GlobusRefusedPathError as error:
            return Finding.of("destination", error)
        return Finding(check="destination", level=Level.OK, words=f"{directory} was made, so the login may write there")

    def _unproved(self, directory: Location, *, exists: bool) -> Finding:
        there = "exists" if exists else f"will be made in {directory}"
        words = f"{self.destination} {there}; whether the login may write there shows only when something is written"
        how = "probe_writes (--probe-writes)" if exists else "create (--create) or probe_writes (--probe-writes)"
        return Finding(check="destination", level=Level.UNKNOWN, words=words, mend=f"To find out, set {how}")

    def _probe(self, directory: Location) -> Finding:
        """Whether a directory can be made; it is deleted again by a Globus task."""
        probe = directory.child(f".prefect-globus-preflight-{secrets.token_hex(4)}")
        try:
            self.globus.make_directories(probe)
        except GlobusRefusedPathError as error:
            return Finding.of("destination", error)
        try:
            gone = self._removed(probe)
        except GlobusError:
            gone = False
        if gone:
            return Finding(check="destination", level=Level.OK, words=f"the login may write in {directory}")
        words = f"the login may write in {directory}, but the probe {probe} could not be deleted"
        return Finding(check="destination", level=Level.WARNING, words=words, mend=f"Delete {probe}")

    def _removed(self, probe: Location) -> bool:
        body = {
            "DATA_TYPE": "delete",
            "submission_id": str(self.globus.new_submission_id()),
            "endpoint": str(probe.collection),
            "label": "prefect-globus preflight",
            "recursive": True,
            "ignore_missing": True,
            "notify_on_succeeded": False,
            "DATA": [{"DATA_TYPE": "delete_item", "path": probe.path}],
        }
        task_id = self.globus.delete(body)
        give_up = time.monotonic() + _PROBE_SECONDS
        while not self.globus.task(task_id).ended:
            if time.monotonic() > give_up:
                return False
            time.sleep(_LOOK_SECONDS)
        return self.globus.stat(probe) is None


def _state_of(collection: UUID, found: Collection) -> Finding:
    """Whether a collection says of itself that it can be used."""
    who = f"{found.name} ({collection})"
    if found.is_connected is False:
        mend = "Start Globus Connect Personal on its machine"
        return Finding(check="collection", level=Level.PROBLEM, words=f"{who} is not connected", mend=mend)
    if found.is_paused:
        mend = "End the pause in Globus Connect Personal on its machine"
        return Finding(check="collection", level=Level.PROBLEM, words=f"{who} is paused", mend=mend)
    return Finding(check="collection", level=Level.OK, words=f"{who} is known to Globus")
