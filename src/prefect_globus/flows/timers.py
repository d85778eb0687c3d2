"""Globus Timers: make, list, pause, resume and delete them. They run at Globus, where no Prefect is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from globus_sdk.scopes import Scope, TimersScopes

from prefect_globus.blocks import GlobusCredentials
from prefect_globus.blocks.token_store import FileLogin
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_credentials
from prefect_globus.globus.errors import translated
from prefect_globus.globus.scopes import timers_scope
from prefect_globus.globus.service import GlobusService
from prefect_globus.globus.timers import TimersService, timer_body
from prefect_globus.tasks.opening import check_locations
from prefect_globus.transfers.errors import (
    GlobusConsentError,
    GlobusRefusedPathError,
    NotForTimersError,
    ScheduleOverError,
    TimerEndedError,
)
from prefect_globus.transfers.location import Location, check_disjoint
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.schedules import TransferSchedule
from prefect_globus.transfers.timers import AUTH_CAUSE, Timer, check_timer_options, timer_name

_JUST_NOW = timedelta(seconds=60)  # a moment that was now when somebody wrote it down


def list_timers(credentials: GlobusCredentials | str | None = None) -> list[Timer]:
    """All Globus Timers of the login, the oldest first.

    Args:
        credentials: the login to Globus, or the name of a block of it; that of the environment when left out.

    Raises:
        GlobusError: Globus does not accept the login, or is out of reach.
    """
    with _timers(find_credentials(credentials)) as timers:
        return timers.list()


def show_timer(timer_id: UUID | str, credentials: GlobusCredentials | str | None = None) -> Timer:
    """One Globus Timer, with its last runs; see `list_timers`.

    Raises:
        GlobusNotFoundError: the login has no such Timer.
    """
    with _timers(find_credentials(credentials)) as timers:
        return timers.get(UUID(str(timer_id)))


def create_timer(
    source: str,
    destination: str,
    schedule: TransferSchedule,
    *,
    name: str | None = None,
    options: TransferOptions | None = None,
    credentials: GlobusCredentials | str | None = None,
) -> Timer:
    """Have Globus itself run a transfer by a schedule, without Prefect and without this package.

    What would only show when the Timer runs is looked at now: both locations, and the consent for their data. A client
    that logs in with its secret gives that consent here.

    Args:
        source: as COLLECTION_UUID:/path.
        destination: as COLLECTION_UUID:/path.
        schedule: when; at most one run a minute.
        name: of the Timer, which need not be unique; by default it is made of the two locations.
        options: how; only those that a Timer can have, `TIMER_OPTIONS`.
        credentials: the login to Globus, or the name of a block of it; that of the environment when left out.

    Raises:
        InvalidInputError: something in it would not do when the Timer runs; nothing was made.
        GlobusConsentError: the user has to consent first; nothing was made.
        GlobusError: Globus refuses a location, the login or the Timer, or is out of reach.
        TimerInDoubtError: Globus has not answered, so there may be such a Timer or not.
    """
    options = options or TransferOptions()
    check_timer_options(options)
    schedule.to_timer()
    moment = now()
    if schedule.beginning(moment).tick_after(moment - _JUST_NOW) is None:
        raise ScheduleOverError(schedule=schedule.in_words())
    begin, end = Location.parse(source), Location.parse(destination)
    check_disjoint(begin, end)
    given = find_credentials(credentials)
    with connected(given) as globus:
        _require_consent(given, globus, (begin.collection, end.collection))
        recursive = not check_locations(globus, begin, end)
    if not recursive:
        _refuse_for_files(options)
    body = timer_body(begin, end, options, recursive=recursive)
    with _timers(given) as timers:
        return timers.create(name or timer_name(begin, end), schedule, body)


def pause_timer(timer_id: UUID | str, credentials: GlobusCredentials | str | None = None) -> Timer:
    """Have a Globus Timer not run until it is resumed. What it has started goes on.

    Raises:
        TimerEndedError: it will not run anyway.
        GlobusNotFoundError: the login has no such Timer.
    """
    with _timers(find_credentials(credentials)) as timers:
        timer = _unended(timers, UUID(str(timer_id)))
        timers.pause(timer.id)
        return timers.get(timer.id)


def resume_timer(timer_id: UUID | str, credentials: GlobusCredentials | str | None = None) -> Timer:
    """Have a Globus Timer run again; once at once, if it has missed a run.

    Where it has stopped for the lack of a consent, a client that logs in with its secret gives that now, and a user is
    told how to. The Timer runs with this login from then on.

    Raises:
        TimerEndedError: it will not run again.
        GlobusConsentError: the user has to consent first; the Timer is as before.
        GlobusNotFoundError: the login has no such Timer.
    """
    given = find_credentials(credentials)
    with _timers(given) as timers:
        timer = _unended(timers, UUID(str(timer_id)))
        if timer.inactive is not None and timer.inactive.cause == AUTH_CAUSE and timer.transfer is not None:
            with connected(given) as globus:
                _require_consent(given, globus, timer.transfer.collections)
        timers.resume(timer.id)
        return timers.get(timer.id)


def delete_timer(timer_id: UUID | str, credentials: GlobusCredentials | str | None = None) -> Timer:
    """Delete a Globus Timer, and return it as it was. What it has started goes on.

    Raises:
        GlobusNotFoundError: the login has no such Timer.
    """
    with _timers(find_credentials(credentials)) as timers:
        return timers.delete(UUID(str(timer_id)))


@contextmanager
def _timers(credentials: GlobusCredentials) -> Iterator[TimersService]:
    with closing(TimersService(credentials.get_timers_client())) as timers:
        yield timers


def _unended(timers: TimersService, timer_id: UUID) -> Timer:
    timer = timers.get(timer_id)
    if timer.has_ended:
        raise TimerEndedError(timer=timer_id, times=timer.times)
    return timer


def _refuse_for_files(options: TransferOptions) -> None:
    for name in ("exclude", "delete_destination_extra"):
        if getattr(options, name):
            raise NotForTimersError(what=f"{name} (the source is one file, and it is about what is in a directory)")


def _require_consent(credentials: GlobusCredentials, globus: GlobusService, collections: Iterable[UUID]) -> None:
    """Have Timers reach the data of collections, or say what a person has to do for that.

    Globus itself asks for the consent only when the Timer runs (the tutorial of Globus Timers).

    Raises:
        GlobusConsentError: the user has to consent.
    """
    needing = [each for each in dict.fromkeys(collections) if globus.uses_data_access(each)]
    scope = timers_scope(needing)
    with translated("the consent to Timers"):
        if not needing or credentials.give_consent(scope):
            return
    if isinstance(credentials.login(TimersScopes.resource_server), FileLogin):
        if not _has_consented(credentials, scope):
            raise _consent_missing(needing)
        return
    # Globus Auth cannot be asked with the tokens in a block. But a login asks for both services at once, so that what
    # was consented to for Transfer, which says so at once, was consented to for Timers.
    for each in needing:
        with suppress(GlobusRefusedPathError):
            globus.stat(Location(collection=each, path="/"))


def _has_consented(credentials: GlobusCredentials, scope: Scope) -> bool:
    with credentials.get_auth_client() as auth, translated("a look at the consents"):
        identity = auth.userinfo()["sub"]
        return auth.get_consents(identity).to_forest().meets_scope_requirements(scope)


def _consent_missing(collections: Iterable[UUID]) -> GlobusConsentError:
    flags = " ".join(f"--collection {each}" for each in collections)
    return GlobusConsentError(
        operation="Timers",
        reason="it may not reach the data of the collections in your name",
        code="ConsentRequired",
        status=403,
        mend=f"Give it with: prefect-globus login {flags}",
    )
