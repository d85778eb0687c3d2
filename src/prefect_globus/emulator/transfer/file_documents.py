"""The document of a file (contract section 5)."""

from __future__ import annotations

import grp
import pwd
from functools import cache, lru_cache
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any

import orjson

from prefect_globus.emulator.queries import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect_globus.emulator.collections.storage import Entry, Link

Document = dict[str, Any]

DAY = 24 * 3600


@cache
def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@cache
def group_name(gid: int) -> str:
    """Return the name of a group, or the number of one without."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def file_time(seconds: float) -> str:
    """Return a time of a file (contract section 1), as `timestamp` would, in a third of its time."""
    day, second = divmod(int(seconds), DAY)
    return _day(day) + _clock(second)


@lru_cache(maxsize=10_000)
def _day(day: int) -> str:
    return str(timestamp(day * DAY, " "))[: len("2021-01-15 ")]


@cache
def _clock(second: int) -> str:
    return str(timestamp(second))[len("1970-01-01T") :]


def file_document(entry: Entry) -> Document:
    """Return the file document of an entry (contract section 5)."""
    name, kind, status, link = entry
    document = {
        "name": name,
        "size": status.st_size,
        "last_modified": file_time(status.st_mtime),
        **_shared_fields(kind, status.st_mode, status.st_uid, status.st_gid),
    }
    return document if link is None else document | _link_fields(link)


def file_documents(entries: Iterable[Entry]) -> orjson.Fragment:
    """Return the list of the documents of entries, as JSON: what most of them have in common is written only once."""
    texts = []
    for entry in entries:
        name, kind, status, link = entry
        if link is not None:
            texts.append(orjson.dumps(file_document(entry)).decode())
            continue
        shared = _shared_text(kind, status.st_mode, status.st_uid, status.st_gid)
        time = file_time(status.st_mtime)
        texts.append(f'{{"name":{quoted(name)},"size":{status.st_size},"last_modified":"{time}",{shared}')
    return orjson.Fragment(f"[{','.join(texts)}]")


@cache
def _shared_fields(kind: str, mode: int, uid: int, gid: int) -> Document:
    return {
        "DATA_TYPE": "file",
        "type": kind,
        "permissions": f"{mode & 0o7777:04o}",
        "user": user_name(uid),
        "group": group_name(gid),
        "link_target": None,
        "link_size": None,
        "link_user": None,
        "link_group": None,
        "link_last_modified": None,
    }


@cache
def _shared_text(kind: str, mode: int, uid: int, gid: int) -> str:
    return orjson.dumps(_shared_fields(kind, mode, uid, gid)).decode().removeprefix("{")


def _link_fields(link: Link) -> Document:
    return {
        "link_target": link.target,
        "link_size": link.status.st_size,
        "link_user": user_name(link.status.st_uid),
        "link_group": group_name(link.status.st_gid),
        "link_last_modified": file_time(link.status.st_mtime),
    }
