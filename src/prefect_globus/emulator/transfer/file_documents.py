"""The document of a file (contract section 5)."""

from __future__ import annotations

import grp
import pwd
from functools import cache
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.queries import timestamp

if TYPE_CHECKING:
    import os

    from prefect_globus.emulator.collections.storage import Entry

Document = dict[str, Any]


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


def file_document(entry: Entry) -> Document:
    """Return the file document of an entry (contract section 5)."""
    status = entry.status
    return {
        "DATA_TYPE": "file",
        "name": entry.name,
        "type": entry.type,
        "size": status.st_size,
        "last_modified": timestamp(status.st_mtime, " "),
        "permissions": f"{status.st_mode & 0o7777:04o}",
        "user": user_name(status.st_uid),
        "group": group_name(status.st_gid),
        **_link_fields(entry.link.target if entry.link else None, entry.link.status if entry.link else None),
    }


def _link_fields(target: str | None, status: os.stat_result | None) -> Document:
    return {
        "link_target": target,
        "link_size": status.st_size if status else None,
        "link_user": user_name(status.st_uid) if status else None,
        "link_group": group_name(status.st_gid) if status else None,
        "link_last_modified": timestamp(status.st_mtime, " ") if status else None,
    }
