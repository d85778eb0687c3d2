"""Who drives a transfer, and whether that process is known to be gone."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from uuid import uuid4

from prefect_globus.transfers.model import Holder

_PROC = Path("/proc")


def this_holder() -> Holder:
    """This process, as the holder of one lease."""
    description = f"{_user()}@{socket.gethostname()}, process {os.getpid()}"
    return Holder(description=description, process=_identity(os.getpid()), nonce=uuid4().hex)


def is_gone(holder: Holder) -> bool:
    """Whether the holder's process is known to have ended: it ran under this very kernel and is no longer there.

    False whenever that cannot be known, as for a process of another machine or container, or one that this user may
    not see: there only the expiry of the lease tells.
    """
    if holder.process is None:
        return False
    machine, _, process = holder.process.rpartition("/")
    pid = int(process.partition("@")[0])
    if machine != _machine():
        return False
    now = _identity(pid)
    return not _exists(pid) if now is None else now != holder.process


def _exists(pid: int) -> bool:
    """Whether there is a process ``pid`` that has not ended, as far as this user may know."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def _identity(pid: int) -> str | None:
    """Names a running process for ever: machine, start time and pid, as a pid alone is used again. None if unseen."""
    machine = _machine()
    try:
        state, *rest = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    started = rest[18]  # field 22 of proc(5)'s stat, the first two being cut off
    return None if machine is None or state == "Z" else f"{machine}/{pid}@{started}"


def _machine() -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
