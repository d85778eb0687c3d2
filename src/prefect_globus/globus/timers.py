"""Globus Timers over a client of globus-sdk: its documents, old and new, as records of ours (contract, section 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import globus_sdk

from prefect_globus.globus.errors import translated
from prefect_globus.transfers.errors import GlobusTransientError, InvalidInputError, TimerInDoubtError
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.schedules import TransferSchedule
from prefect_globus.transfers.timers import InactiveReason, TimedTransfer, Timer, TimerItem, TimerRun

_QUICK_RETRIES = 2
_STATUSES = {"new": "active", "loaded": "active"}  # Globus' own words for filters: active, inactive, ended
_DATA_ACCESS = re.compile(r"/scopes/([0-9a-fA-F-]{36})/data_access")
_ITEM = {"source_path", "destination_path", "recursive", "DATA_TYPE"}
_TRANSFER = {"source_endpoint", "destination_endpoint", "DATA"}
# as the first version of Timers has them
_OLDER_NAMES = {
    "source_endpoint_id": "source_endpoint",
    "destination_endpoint_id": "destination_endpoint",
    "transfer_items": "DATA",
}


class TimersService:
    """Globus Timers. Every method raises the errors of `prefect_globus.globus.errors`."""

    def __init__(self, client: globus_sdk.TimersClient) -> None:
        """Args: ``client``: of one thread."""
        self._client = client
        client.retry_config.max_retries = _QUICK_RETRIES

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def list(self) -> list[Timer]:
        """All Timers of the login, the oldest first."""
        with translated("the list of timers"):
            answer = self._client.list_jobs(query_params={"order": "submitted_at asc"})
            return [timer_of(document) for document in answer["jobs"]]

    def get(self, timer_id: UUID) -> Timer:
        """One Timer, with its last runs."""
        with translated(f"timer {timer_id}"):
            return timer_of(self._client.get_job(timer_id).data)

    def create(self, name: str, schedule: TransferSchedule, body: Mapping[str, Any]) -> Timer:
        """Make a Timer; one, whatever becomes of the answer.

        Raises:
            TimerInDoubtError: there was no answer, and Globus cannot be asked whether there is such a Timer now.
        """
        before = {each.id for each in self.list()}
        timer = globus_sdk.TransferTimer(name=name, schedule=schedule.to_timer(), body=dict(body))
        try:
            # nothing in the request says that it is the same one again, so globus-sdk must not send it twice
            with translated(f"the timer {name!r}"), self._client.retry_config.tune(max_retries=0):
                return timer_of(self._client.create_timer(timer)["timer"])
        except GlobusTransientError as error:
            return self._made_meanwhile(name, before, error)

    def _made_meanwhile(self, name: str, before: set[UUID], error: GlobusTransientError) -> Timer:
        try:
            made = [each for each in self.list() if each.name == name and each.id not in before]
        except GlobusTransientError:
            raise TimerInDoubtError(name=name, reason=error.reason) from error
        if not made:
            raise error
        return made[-1]

    def pause(self, timer_id: UUID) -> None:
        """Have a Timer not run until it is resumed; no error when it does not."""
        with translated(f"the pause of timer {timer_id}"):
            self._client.pause_job(timer_id)

    def resume(self, timer_id: UUID, *, update_credentials: bool | None = None) -> None:
        """Have a Timer run again; at once, if it has missed a run.

        Args:
            timer_id: which.
            update_credentials: whether it runs with this login from now on; None lets Globus decide.
        """
        with translated(f"the resumption of timer {timer_id}"):
            self._client.resume_job(timer_id, update_credentials=update_credentials)

    def delete(self, timer_id: UUID) -> Timer:
        """Delete a Timer; a run of it that is under way goes on. The Timer as it was."""
        with translated(f"the deletion of timer {timer_id}"):
            return timer_of(self._client.delete_job(timer_id).data)


def timer_body(
    source: Location, destination: Location, options: TransferOptions, *, recursive: bool
) -> globus_sdk.TransferData:
    """What a Timer transfers each time (contract, section 3); its options are those of `TIMER_OPTIONS`."""
    data = globus_sdk.TransferData(
        source.collection,
        destination.collection,
        label=options.label or globus_sdk.MISSING,
        verify_checksum=options.verify_checksum,
        preserve_timestamp=options.preserve_timestamp,
        encrypt_data=options.encrypt_data,
        skip_source_errors=options.skip_source_errors,
        fail_on_quota_errors=options.fail_on_quota_errors,
        delete_destination_extra=options.delete_destination_extra,
        # nobody but Globus' mails tells of a run that fails; each that succeeds is no news
        notify_on_succeeded=False,
    )
    if options.sync_level is not None:
        data["sync_level"] = options.sync_level.number
    for pattern in options.exclude:
        data.add_filter_rule(pattern, method="exclude")
    data.add_item(source.path, destination.path, recursive=recursive)
    return data


def timer_of(document: Mapping[str, Any]) -> Timer:
    """A Timer as a document tells of it, of either version of Timers."""
    results = document.get("results") or {}
    body = document.get("body") or (document.get("callback_body") or {}).get("body")
    kind = _kind(document)
    return Timer(
        id=UUID(document["job_id"]),
        name=document.get("name"),
        type=kind,
        status=_STATUSES.get(document["status"], document["status"]),
        schedule=_schedule(document),
        submitted_at=_moment(document.get("submitted_at")),
        next_run=_moment(document.get("next_run")),
        last_ran_at=_moment(document.get("last_ran_at")),
        runs=document.get("number_of_runs", document.get("n_runs")) or 0,
        errors=document.get("number_of_errors", document.get("n_errors")) or 0,
        activity=(document.get("activity") or {}).get("code"),
        inactive=_inactive(document.get("inactive_reason")),
        transfer=_transfer(body) if kind == "transfer" and body else None,
        results=tuple(map(_run, results.get("data") or [])) if isinstance(results, dict) else (),
    )


def _kind(document: Mapping[str, Any]) -> str:
    """What it runs; an older Timer has only the address of that."""
    address = urlsplit(document.get("callback_url") or "")
    kind = document.get("timer_type")
    return str(kind) if kind else "transfer" if address.path.endswith("transfer/run") else address.geturl()


def _schedule(document: Mapping[str, Any]) -> TransferSchedule | None:
    try:
        return TransferSchedule.from_timer(dict(document))
    except InvalidInputError:  # it can be shown, paused and deleted all the same
        return None


def _transfer(body: Mapping[str, Any]) -> TimedTransfer:
    newer = {_OLDER_NAMES.get(name, name): value for name, value in body.items()}
    return TimedTransfer(
        source=newer["source_endpoint"],
        destination=newer["destination_endpoint"],
        items=tuple(map(_item, newer["DATA"])),
        settings={name: value for name, value in newer.items() if name not in _TRANSFER and value is not None},
    )


def _item(document: Mapping[str, Any]) -> TimerItem:
    extra = {name: value for name, value in document.items() if name not in _ITEM and value is not None}
    kind = document.get("DATA_TYPE") or "transfer_item"
    return TimerItem(
        source=document["source_path"],
        destination=document["destination_path"],
        recursive=document.get("recursive"),
        extra=extra if kind == "transfer_item" else {**extra, kind: True},
    )


def _inactive(document: Mapping[str, Any] | None) -> InactiveReason | None:
    if not document:
        return None
    detail = document.get("detail") or {}
    asked = detail.get("authorization_parameters") or {}
    scopes = asked.get("required_scopes") or detail.get("required_scopes") or []
    return InactiveReason(
        cause=document["cause"],
        message=asked.get("session_message") or detail.get("message") or detail.get("code"),
        consents=tuple(dict.fromkeys(UUID(each) for each in _DATA_ACCESS.findall(" ".join(scopes)))),
    )


def _run(document: Mapping[str, Any]) -> TimerRun:
    details = (document.get("data") or {}).get("details") or {}
    errors = document.get("errors")
    return TimerRun(
        ran_at=_moment(document.get("ran_at")),
        status=details.get("status") or document.get("run_status") or "FAILED",
        task_id=details.get("task_id"),
        error=(errors.get("message") or errors.get("code") or str(errors)) if isinstance(errors, dict) else errors,
    )


def _moment(text: str | None) -> datetime | None:
    """A moment; what has no zone is in UTC, as Globus' own examples show."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
