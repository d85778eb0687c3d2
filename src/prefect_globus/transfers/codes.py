"""What the codes of items and of Globus tasks mean, and what a person can do about them."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    # of an item: it will never work as it is
    "PERMISSION_DENIED": "The login may not read it at the source, or not write it at the destination. Mend the "
    "permissions.",
    "FILE_NOT_FOUND": "It was gone when it was to be transferred, or the path above it was.",
    "AMBIGUOUS_PATH": "The collection has more than one thing of this name. Rename one of them.",
    "INVALID_PATH_NAME": "The collection does not allow this name, or it has a line break, which Globus does not take. "
    "Rename it.",
    "INVALID_SYMLINK": "It is a symbolic link that leads nowhere. Mend or remove the link.",
    "EXTERNAL_CHECKSUM_MISMATCH": "It does not have the checksum that was asked for.",
    "IS_A_DIRECTORY": "There is a directory where the file should be. Move one of them away.",
    "NOT_A_DIRECTORY": "There is a file where a directory should be. Move one of them away.",
    "NOT_A_FILE": "It is a device, a pipe or a socket, which nobody can transfer.",
    "SOURCE_CHANGED": "It had another size when it was moved than when it was scanned. What was moved may be half of a "
    "change: verify it when nobody writes there.",
    "REDRIVEN": "It had failed for good and is tried again.",
    "TOO_LARGE_TO_LIST": "It is, or is in, a directory with more entries than Globus lists: such a one is transferred "
    "as a whole, and what is in it is not looked at.",
    "FORGOTTEN": "Somebody has asked for it to be transferred again the next time.",
    # of a Globus task: it may work the next time
    "STALLED": "There was no progress for longer than stall_seconds, and no fault that would explain it.",
    "NOT_FOUND": "Globus has no record of the task any more.",
    "CANCELED": "Somebody has canceled the Globus task.",
    "ENDPOINT_TOO_BUSY": "The collection has more to do than it can. Fewer tasks at once may help: max_concurrency.",
    "GC_NOT_CONNECTED": "Globus Connect Personal is not running there. Start it.",
    "GC_PAUSED": "Globus Connect Personal is paused there. Let it go on.",
    "AUTH": "The collection does not accept the login any more. Log in again.",
    "PAUSED": "The task was paused. Whoever has paused it can let it go on.",
    "PAUSED_BY_ADMIN": "An administrator of the collection has paused it. Ask them.",
    "CONNECT_FAILED": "The collection could not be reached.",
    "CONNECTION_BROKEN": "The connection to the collection was broken.",
    "CONNECTION_RESET": "The connection to the collection was broken.",
    "TIMEOUT": "The collection did not answer in time.",
    "ENDPOINT_ERROR": "The collection has reported an error of its own.",
    "FILE_SIZE_CHANGED": "A file was written to while it was transferred.",
    "VERIFY_CHECKSUM": "A file did not arrive as it was, and is sent again.",
    "QUOTA_EXCEEDED": "The quota at the destination is full. Make room.",
    # of a removal: why something stays
    "NOT_DELIVERED": "It was skipped, so it is kept.",
    "DIRECTORY": "Globus can delete a directory only with whatever is in it by then, so it is kept.",
    "SYMLINK": "It is a symbolic link, has one in it, or lies behind one.",
    "SAME_NAME": "Another name differs in case, or in the form of its accents, only.",
    "AT_SOURCE": "It is at the source now.",
    "SOURCE_EMPTY": "Its directory is empty at the source, as it is when a disk is not mounted.",
    "SOURCE_UNKNOWN": "Its directory cannot be listed at the source any more.",
    "OTHERS": "Another transfer delivers there, too.",
    "UNLISTABLE": "It is a directory that cannot be listed.",
    "NOT_UNICODE": "Its name is no text, so Globus cannot be told of it.",
    # what a verification has found
    "MISSING": "Nothing of that name was at the destination.",
    "WRONG_TYPE": "A directory was where a file should be, or the other way round.",
    "TRUNCATED": "It was smaller at the destination than what was delivered.",
    "OTHER_SIZE": "It was larger at the destination than what was delivered.",
    "ALTERED": "It was written to at the destination since it was delivered.",
    "FEWER_FILES": "There were fewer files in the directory than were moved there.",
    "SOURCE_VANISHED": "It was gone from the source already.",
    "SOURCE_NEW": "It was not there when the transfer was scanned.",
    "DIFFERENT": "The contents of the two sides differ, and it is not known which of them has changed.",
}


def meaning(code: str) -> str | None:
    """A sentence or two on ``code``; None for one that is not known here."""
    return MEANINGS.get(code)
