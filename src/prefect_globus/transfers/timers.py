"""Globus Timers: what one looks like, what it can do of a transfer of ours, and which of ours does the same as one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, Field, ValidationError

from prefect_globus.transfers.errors import InvalidInputError, NotForTimersError, TimerNotImportableError
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import WHAT_OPTIONS, SyncLevel, TransferOptions
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.schedules import TransferSchedule

AUTH_CAUSE = "globus_auth_requirements"

_SAME_NAME = (
    "preserve_timestamp",
    "verify_checksum",
    "encrypt_data",
    "skip_source_errors",
    "fail_on_quota_errors",
    "delete_destination_extra",
)
TIMER_OPTIONS = frozenset({"label", "sync_level", "exclude", *_SAME_NAME})
"""The options of a transfer that a Timer has, too, with the same meaning (contract, section 3)."""

_OURS = "it is how this package drives a transfer, and a Timer runs at Globus without it"
_NO_FILTER = "Globus chooses by the names of what is left out, and by nothing else"
_REASONS = {
    "include": _NO_FILTER,
    "min_size": _NO_FILTER,
    "max_size": _NO_FILTER,
    "min_age_seconds": _NO_FILTER,
    "max_age_seconds": _NO_FILTER,
    "filter_callback": _NO_FILTER,
    "symlinks": "a Timer leaves symbolic links out",
    "deadline_seconds": "the deadline of a Timer is one moment for all of its runs",
    "idempotency": "a Timer does not know what earlier transfers have delivered; there is sync_level",
    "compare_with": "a Timer does not know what earlier transfers have delivered; there is sync_level",
    "mode": "a Timer does not know what earlier transfers have delivered; there is sync_level",
    "approval": "a Timer asks nobody",
    "after": "a Timer does not know what was delivered, and deletes nothing at the source",
}

# What a Timer's transfer may say that changes nothing of what arrives: mails, and how Globus keeps its own books.
_WITHOUT_EFFECT = {"DATA_TYPE", "notify_on_succeeded", "notify_on_failed", "notify_on_inactive", "store_base_path_info"}
_READ = {"label", "sync_level", "filter_rules", "recursive_symlinks", *_SAME_NAME}


class TimerItem(Record):
    """One of the things that a Timer transfers.

    Args:
        source: its path.
        destination: where to.
        recursive: whether it is a directory; None for whatever it is.
        extra: what else the Timer says of it, such as a checksum.
    """

    source: str
    destination: str
    recursive: bool | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class TimedTransfer(Record):
    """What a Timer transfers each time.

    Args:
        source: the collection.
        destination: the collection.
        items: what of it.
        settings: how, in the words of the Transfer API (contract, section 3).
    """

    source: UUID
    destination: UUID
    items: tuple[TimerItem, ...]
    settings: dict[str, Any]

    @property
    def collections(self) -> tuple[UUID, ...]:
        """Those that it needs, each once."""
        return tuple(dict.fromkeys((self.source, self.destination)))


class InactiveReason(Record):
    """Why a Timer does not run.

    Args:
        cause: ``user`` for somebody who has paused it, ``globus_auth_requirements`` for a login that does not suffice.
        message: what Globus says of it.
        consents: the collections for whose data a consent is missing.
    """

    cause: str
    message: str | None = None
    consents: tuple[UUID, ...] = ()


class TimerRun(Record):
    """One run of a Timer.

    Args:
        ran_at: when it was started; aware, UTC.
        status: of its Globus task, or FAILED when none was started.
        task_id: the Globus task.
        error: why none was started.
    """

    ran_at: AwareDatetime | None
    status: str
    task_id: UUID | None = None
    error: str | None = None


class Timer(Record):
    """A Globus Timer as Globus tells it (contract, section 7). Times are aware, UTC.

    Args:
        id: Globus calls it the job's.
        name: not unique.
        type: ``transfer``, or something else that this package only shows.
        status: ``active``, ``inactive``, ``ended``, or another word of Globus'.
        schedule: when it runs; None where that cannot be read.
        submitted_at: when it was made.
        next_run: when Globus will start it next.
        last_ran_at: when Globus has started it last.
        runs: how often it was started.
        errors: how many of these have failed to start.
        activity: what it is doing, in a word of Globus'.
        inactive: why it does not run.
        transfer: what it transfers; None for another type.
        results: its last runs, the newest first.
    """

    id: UUID
    name: str | None
    type: str
    status: str
    schedule: TransferSchedule | None
    submitted_at: AwareDatetime | None
    next_run: AwareDatetime | None
    last_ran_at: AwareDatetime | None
    runs: int
    errors: int
    activity: str | None
    inactive: InactiveReason | None
    transfer: TimedTransfer | None
    results: tuple[TimerRun, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether it will never run again."""
        return self.status == "ended"

    @property
    def times(self) -> str:
        """How often it was started, in words."""
        return "once" if self.runs == 1 else f"{self.runs} times"

    @property
    def is_inactive(self) -> bool:
        """Whether it stands still until somebody resumes it."""
        return self.status == "inactive"


def check_timer_options(options: TransferOptions) -> None:
    """Refuse options that a Timer cannot have, if they were given.

    Raises:
        NotForTimersError: with the reason for each; nothing was sent.
    """
    wrong = [name for name in sorted(options.model_fields_set - TIMER_OPTIONS) if _matters(options, name)]
    wrong += ["exclude"] if any("/" in pattern for pattern in options.exclude) else []
    if wrong:
        raise NotForTimersError(what="; ".join(f"{name} ({_reason(name)})" for name in wrong))


def _matters(options: TransferOptions, name: str) -> bool:
    """Whether an option was set to something that a Timer would not do anyway."""
    value = getattr(options, name)
    means_nothing = name in WHAT_OPTIONS or name in _REASONS
    return value is not None and not (means_nothing and value == type(options).model_fields[name].default)


def _reason(name: str) -> str:
    return "Globus compares patterns with names, never with paths" if name == "exclude" else _REASONS.get(name, _OURS)


def importable(timer: Timer) -> list[tuple[Location, Location, TransferOptions]]:
    """The transfers of ours that do together what a run of ``timer`` does: one for each of its items.

    A batch of ours lies below one pair of locations. So several items, which may lie anywhere, are several transfers,
    each with its own checkpoint.

    Raises:
        TimerNotImportableError: it does something that no transfer of ours does.
    """
    if timer.transfer is None:
        raise _not_importable(timer, f"its type is {timer.type}: only Timers that transfer files can be imported")
    settings = timer.transfer.settings
    _check_settings(timer, settings)
    return [
        (*_locations(timer, timer.transfer, item), _options(timer, settings, item)) for item in timer.transfer.items
    ]


def _check_settings(timer: Timer, settings: Mapping[str, Any]) -> None:
    unknown = sorted(name for name in settings if name not in _READ | _WITHOUT_EFFECT and settings[name])
    if unknown:
        raise _not_importable(timer, f"its transfer has {', '.join(unknown)}, which no transfer of this package has")
    if settings.get("recursive_symlinks") not in (None, "ignore"):
        reason = f"its recursive_symlinks are {settings['recursive_symlinks']!r}, and those of this package are ignored"
        raise _not_importable(timer, reason)


def _locations(timer: Timer, transfer: TimedTransfer, item: TimerItem) -> tuple[Location, Location]:
    if any(item.extra.values()):
        what = ", ".join(sorted(name for name, value in item.extra.items() if value))
        raise _not_importable(timer, f"its item {item.source} has {what}, which no transfer of this package has")
    try:
        return (
            Location.parse(f"{transfer.source}:{item.source}"),
            Location.parse(f"{transfer.destination}:{item.destination}"),
        )
    except InvalidInputError as error:
        raise _not_importable(timer, str(error).rstrip(".")) from None


def _options(timer: Timer, settings: Mapping[str, Any], item: TimerItem) -> TransferOptions:
    # what the Transfer API leaves out is false (contract, section 3), which the defaults of this package need not be
    given: dict[str, Any] = {name: bool(settings.get(name)) for name in _SAME_NAME}
    if settings.get("label"):
        given["label"] = settings["label"]
    level = settings.get("sync_level")
    if level is not None:
        if level not in range(len(SyncLevel)):
            raise _not_importable(timer, f"it has the sync_level {level}, which this package does not know")
        given["sync_level"] = list(SyncLevel)[level]
    if settings.get("filter_rules") and item.recursive is not False:  # rules are for what is in directories
        given["exclude"] = tuple(_excluded(timer, settings["filter_rules"]))
    try:
        return TransferOptions(**given)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise _not_importable(timer, f"no transfer of this package has its options: {reason}") from None


def _excluded(timer: Timer, rules: list[Mapping[str, Any]]) -> Iterator[str]:
    """The patterns of rules that leave names out, of files and directories alike: that is what our patterns do."""
    for rule in rules:
        name, method, kind = rule.get("name"), rule.get("method") or "exclude", rule.get("type")
        if method != "exclude" or kind is not None or not name or "/" in name:
            words = f"{method}s {name!r}" + (f" of type {kind}" if kind else "")
            reason = f"it has a filter rule that {words}; only names that are left out, of any type, can be kept"
            raise _not_importable(timer, reason)
        yield name


def _not_importable(timer: Timer, reason: str) -> TimerNotImportableError:
    return TimerNotImportableError(timer=timer.id, reason=reason)


def deployment_name(timer: Timer) -> str:
    """A name for the deployment that does the same as ``timer``: its own, as far as an id can have it."""
    return as_id(timer.name or "") or f"timer-{str(timer.id)[:8]}"


def as_id(name: str) -> str:
    """``name`` as far as the id of a transfer can have it, and so short that the time of a tick goes with it."""
    text = re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", name))
    return text.strip("-._")[:_LONGEST_NAME].rstrip("-._")


_LONGEST_NAME = 80  # of the 128 characters that an id has


def timer_name(source: Location, destination: Location) -> str:
    """What a Timer is called that was given no name."""
    names = (posixpath.basename(each.path.rstrip("/")) or "/" for each in (source, destination))
    return " to ".join(names)
