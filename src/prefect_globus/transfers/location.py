"""A location: a path on a Globus collection, spelled ``UUID:/path`` as globus-cli spells it."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Self
from uuid import UUID

from pydantic import field_validator, model_serializer, model_validator

from prefect_globus.transfers.errors import InvalidLocationError, InvalidTransferIdError, OverlappingLocationsError
from prefect_globus.transfers.records import Record

_HOME = "/~/"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
_ID_LIMIT = 128
_TRANSFER_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._+=@:-]{{0,{_ID_LIMIT - 1}}}")


class Location(Record):
    """A path on a collection.

    Args:
        collection: the collection's UUID.
        path: absolute, ``/``-separated; ``/~/`` is the collection's default directory (Globus contract, section 5).
    """

    collection: UUID
    path: str

    @classmethod
    def parse(cls, text: str | Location) -> Location:
        """Read ``UUID:/path``.

        Raises:
            InvalidLocationError: the text is malformed; the message says what is wrong and how to write it.
        """
        if isinstance(text, Location):
            return text
        collection, colon, path = text.partition(":")
        if not colon:
            raise InvalidLocationError(text=text, reason="there is no ':' between the collection and the path")
        try:
            uuid = UUID(collection.strip())  # but a path keeps its blanks: they are part of a name
        except ValueError:
            raise InvalidLocationError(text=text, reason=f"{collection!r} is not a UUID") from None
        return cls(collection=uuid, path=_normal_path(path, text))

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic's own signature
        if isinstance(value, str):
            parsed = cls.parse(value)
            return {"collection": parsed.collection, "path": parsed.path}
        return value

    @field_validator("path")
    @classmethod
    def _normal(cls, path: str) -> str:
        return _normal_path(path, path)

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self.collection}:{self.path}"

    @property
    def name(self) -> str:
        """The last component of the path; empty for the collection's root."""
        return posixpath.basename(self.path)

    def join(self, relative: str) -> str:
        """The absolute path of something ``relative`` to this location; of the location itself for ``""``."""
        return self.joint + relative if relative else self.path

    @property
    def joint(self) -> str:
        """What comes before a relative path when that is joined to this location."""
        return self.path if self.path.endswith("/") else self.path + "/"

    def child(self, relative: str) -> Self:
        """The location of something ``relative`` to this one."""
        return self.evolve(path=self.join(relative))

    def relative(self, path: str) -> str:
        """``path``, which is at or below this location, relative to it; the opposite of `join`."""
        return "" if path == self.path else path.removeprefix(self.joint)

    def contains(self, other: Location) -> bool:
        """Whether ``other`` is this location or lies below it."""
        if self.collection != other.collection:
            return False
        prefix = self.path.rstrip("/") + "/"
        return other.path == self.path or other.path.startswith(prefix)


def _normal_path(path: str, text: str) -> str:
    if not path.startswith("/"):
        hint = f"the path {path!r} is relative; it must begin with '/' (or '/~/' for the default directory)"
        raise InvalidLocationError(text=text, reason=hint)
    if _FORBIDDEN.search(path):
        raise InvalidLocationError(text=text, reason="the path has a control character")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidLocationError(text=text, reason="the path has a '..'")
    return _HOME if parts == ["~"] else "/" + "/".join(parts)


def check_transfer_id(transfer_id: str) -> str:
    """Return ``transfer_id`` unchanged if it can be one: it names a row, a folder and a Globus label.

    Raises:
        InvalidTransferIdError: it is empty, too long, or has characters that could leave a folder or confuse a person.
    """
    if not _TRANSFER_ID.fullmatch(transfer_id):
        raise InvalidTransferIdError(transfer_id=transfer_id, reason=_what_is_wrong(transfer_id))
    if ".." in transfer_id:
        raise InvalidTransferIdError(transfer_id=transfer_id, reason="it has a '..'")
    return transfer_id


def _what_is_wrong(transfer_id: str) -> str:
    if not transfer_id:
        return "it is empty"
    return "it is too long" if len(transfer_id) > _ID_LIMIT else "it has other characters, or begins with one"


def check_disjoint(source: Location, destination: Location) -> None:
    """Refuse a destination at or inside the source.

    Raises:
        OverlappingLocationsError: the transfer would copy its own copies.
    """
    if source.contains(destination):
        raise OverlappingLocationsError(source=source, destination=destination)
