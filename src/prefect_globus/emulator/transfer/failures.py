"""What goes wrong in a collection, in Globus' words: status, code, and GridFTP's own text (contract section 2)."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.collections.storage import ListingTooLargeError
from prefect_globus.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_globus.emulator.collections.model import CollectionSpec

LINE_END = r"\r\n"
SERVER = "127.0.0.1:443"  # there is none, but programs look for the line


class Operation(NamedTuple):
    """A file operation: its name in an error text, the command of GridFTP, and the system call behind that."""

    name: str
    command: str
    call: str


LIST = Operation("list", "MLSC", "opendir")
STAT = Operation("list", "MLST", "stat")  # Globus calls it so, too
MKDIR = Operation("mkdir", "MKD", "mkdir")
RENAME = Operation("rename", "RNFR", "rename")

# HTTP status and code of a failed operation by its errno. What is not there is an EndpointError.
FAILURES: dict[tuple[Operation, int | None], tuple[int, str]] = {
    (LIST, errno.ENOENT): (404, "ClientError.NotFound"),
    (LIST, errno.ENOTDIR): (502, "ExternalError.DirListingFailed.NotDirectory"),
    (LIST, errno.EACCES): (403, "EndpointPermissionDenied"),
    (STAT, errno.ENOENT): (404, "NotFound"),
    (STAT, errno.ENOTDIR): (404, "NotFound"),
    (STAT, errno.EACCES): (403, "EndpointPermissionDenied"),
    (MKDIR, errno.EEXIST): (502, "ExternalError.MkdirFailed.Exists"),
    (MKDIR, errno.ENOENT): (502, "ExternalError.MkdirFailed.NotFound"),
    (MKDIR, errno.ENOTDIR): (502, "ExternalError.MkdirFailed.NotDirectory"),
    (MKDIR, errno.EACCES): (403, "EndpointPermissionDenied"),
    (RENAME, errno.EEXIST): (502, "ExternalError.RenameFailed.Exists"),
    (RENAME, errno.ENOENT): (404, "NotFound"),
    (RENAME, errno.ENOTDIR): (404, "NotFound"),
    (RENAME, errno.EACCES): (403, "EndpointPermissionDenied"),
}
# Of these, the names of the first are Globus' own; the others are ours. [inferred]
GRIDFTP_CODES = {
    errno.ENOENT: "PATH_NOT_FOUND",
    errno.EACCES: "PERMISSION_DENIED",
    errno.EEXIST: "PATH_EXISTS",
    errno.ENOTDIR: "NOT_A_DIRECTORY",
}
LEADS = {403: "Denied by endpoint, ", 404: "Path not found, "}


@contextmanager
def told(collection: CollectionSpec, path: str, operation: Operation) -> Iterator[None]:
    """Turn what goes wrong in a collection into the error document of the operation."""
    try:
        yield
    except ListingTooLargeError as error:
        raise ApiError(
            502,
            "ExternalError.DirListingFailed.SizeLimit",
            f"{error}. You can still transfer this directory",
        ) from error
    except OSError as error:
        number = errno.EACCES if error.errno == errno.EPERM else error.errno
        status, code = FAILURES.get((operation, number), (502, "EndpointError"))
        text = _gridftp_text(collection, path, operation, number, error.strerror)
        raise ApiError(status, code, LEADS.get(status, "") + text) from error


def _gridftp_text(
    collection: CollectionSpec, path: str, operation: Operation, number: int | None, reason: str | None
) -> str:
    """Return the text of a failure. Its lines end as those of a GridFTP server, which Globus spells out."""
    details = [
        f"550-GlobusError: v=1 c={GRIDFTP_CODES.get(number or 0, 'INTERNAL_ERROR')}",
        f"550-GridFTP-Errno: {number}",
        f"550-GridFTP-Reason: System error in {operation.call}",
        f"550-GridFTP-Error-String: {reason}",
        "550 End.",
    ]
    return (
        f"Error ({operation.name})\n"
        f"Endpoint: {collection.name} ({collection.uuid})\n"
        f"Server: {SERVER}\n"
        f"Command: {operation.command} {path}\n"
        f"Message: {reason}\n"
        "---\n"
        f"Details: {''.join(line + LINE_END for line in details)}\n"
    )
