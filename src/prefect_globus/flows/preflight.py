"""Preflight: before a transfer, find all that a person would have to mend, at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from globus_sdk.scopes import TransferScopes
from prefect import flow, get_run_logger
from pydantic import ValidationError

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.blocks.token_store import FileLogin, TokenStore
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.flows.parameters import (
    Checkpoints,
    Credentials,
    Destination,
    NewTransferId,
    Options,
    Source,
    titled,
)
from prefect_globus.flows.preflight_places import Places
from prefect_globus.tasks.opening import matching
from prefect_globus.transfers.errors import (
    InvalidInputError,
    PreflightFailedError,
    TransferError,
    TransferNotFoundError,
)
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.preflight import Finding, Level, Preflight
from prefect_globus.transfers.states import TransferStatus

_NO_TRANSFER = "preflight"  # an id, for a transfer that is to be given one
_IDLE = "Globus drops it when it is not used for six months"  # contract, section 8


def preflight_transfer(
    source: str,
    destination: str,
    options: TransferOptions | Mapping[str, Any] | None = None,
    transfer_id: str | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
    create: bool = False,
    probe_writes: bool = False,
) -> Preflight:
    """Look whether a transfer could begin, and find all that is in its way at once. Nothing is transferred.

    Whatever is wrong is a finding, not an error. What can only show in the transfer is said to be unknown.

    Args:
        source: what is to be transferred, as COLLECTION_UUID:/path.
        destination: where to.
        options: how; also as a plain mapping, of which all that is wrong is found.
        transfer_id: the id that it would have, if it is to have a certain one.
        credentials: a block or its name; as `resumable_transfer` logs in by default when left out.
        checkpoints: a block or its name; the default database when left out.
        create: make the destination's directory if it is not there, which proves that the login may write.
        probe_writes: make a directory at the destination and have Globus delete it again, which proves the same.

    Returns:
        The findings; ``ok`` tells whether the transfer could begin.
    """
    looks = _Looks(source, destination, options, transfer_id)
    looks.read_input()
    looks.look_at_checkpoints(checkpoints)
    looks.look_at_globus(credentials, create=create, probe_writes=probe_writes)
    return Preflight(source=source, destination=destination, findings=tuple(looks.findings))


@flow(name="preflight-transfer", flow_run_name="preflight {source} to {destination}")
def preflight(
    source: Source,
    destination: Destination,
    options: Options = None,
    transfer_id: NewTransferId = None,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
    create: Annotated[bool, titled("Make the destination")] = False,
    probe_writes: Annotated[bool, titled("Try to write")] = False,
) -> Preflight:
    """`preflight_transfer` as a Prefect flow, whose log has the findings and which fails when there is a problem.

    Args:
        source: What is to be transferred, a file or a directory, as COLLECTION_UUID:/path.
            For example: 6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/home/share/godata
        destination: Where to, as COLLECTION_UUID:/path; what the source contains will be in this directory.
            For example: 31ce9ba0-176d-45a5-add3-f37d233ba47d:/~/backup
        options: How it is to be transferred. For a transfer on record those that it has, when left out.
        transfer_id: The id that it would have, if it is to have a certain one. For example: backup-20261122
        credentials: The login to Globus: a saved block or its name. When left out GLOBUS_CLIENT_ID and
            GLOBUS_CLIENT_SECRET where the run is, or else the login of prefect-globus login there.
            For example: globus-credentials/lab
        checkpoints: Where transfers are kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team
        dry_run: only find out what would be done, and leave nothing on record; see `plan_transfer`.
        create: Make the destination's directory if it is not there, which proves that the login may write.
        probe_writes: Make a directory at the destination and have Globus delete it again, which proves the same.

    Raises:
        PreflightFailedError: the transfer could not begin.
    """
    found = preflight_transfer(
        source, destination, options, transfer_id, credentials, checkpoints, create=create, probe_writes=probe_writes
    )
    logger = get_run_logger()
    for each in found.findings:
        log = logger.info if each.level in (Level.OK, Level.UNKNOWN) else logger.warning
        log("%s: %s: %s%s", each.check, each.level, each.words, f". {each.mend}" if each.mend else "")
    if not found.ok:
        problems = "; ".join(f"{each.words}{f'. {each.mend}' if each.mend else ''}" for each in found.problems)
        raise PreflightFailedError(source=source, destination=destination, problems=problems)
    return found


class _Looks:
    """The checks, in order; each leaves its findings, and what the next ones need."""

    def __init__(
        self,
        source: str,
        destination: str,
        options: TransferOptions | Mapping[str, Any] | None,
        transfer_id: str | None,
    ) -> None:
        self.findings: list[Finding] = []
        self._texts = {"source": source, "destination": destination}
        self._places: dict[str, Location] = {}
        self._given = options
        self._options = TransferOptions()
        self._transfer_id = transfer_id

    def _say(self, check: str, level: Level, words: str, mend: str | None = None) -> None:
        self.findings.append(Finding(check=check, level=level, words=words, mend=mend))

    def read_input(self) -> None:
        """The locations, the options and the id, as they are written."""
        for check, text in self._texts.items():
            try:
                self._places[check] = Location.parse(text)
            except InvalidInputError as error:
                self.findings.append(Finding.of(check, error))
        try:
            if len(self._places) == len(self._texts):
                check_disjoint(**self._places)
        except InvalidInputError as error:
            self.findings.append(Finding.of("destination", error))
        self._read_options()
        try:
            check_transfer_id(self._transfer_id or _NO_TRANSFER)
        except InvalidInputError as error:
            self.findings.append(Finding.of("transfer id", error))
            self._transfer_id = None

    def _read_options(self) -> None:
        try:
            self._options = TransferOptions.model_validate(self._given or {})
        except ValidationError as error:
            for each in error.errors():
                name = ".".join(map(str, each["loc"]))
                words = each["msg"].removeprefix("Value error, ")
                self._say("options", Level.PROBLEM, f"{name}: {words}" if name else words)

    def look_at_checkpoints(self, given: CheckpointStore | str | None) -> None:
        """Whether the store can be reached, and what it has under the id."""
        try:
            store = find_checkpoints(given)
            recorded = store.load_transfer(self._transfer_id or _NO_TRANSFER)
        except TransferNotFoundError:
            self._say("checkpoints", Level.OK, "the checkpoint store can be reached")
        except TransferError as error:
            self.findings.append(Finding.of("checkpoints", error))
        else:
            self._say("checkpoints", Level.OK, "the checkpoint store can be reached")
            if self._transfer_id is not None:
                self._look_at_transfer(recorded)

    def _look_at_transfer(self, recorded: Transfer) -> None:
        wanted = Transfer(id=recorded.id, options=self._options, **{**_ends(recorded), **self._places})
        try:
            matching(recorded, wanted, None if self._given is None else self._options)
        except InvalidInputError as error:
            self.findings.append(Finding.of("transfer id", error))
            return
        if recorded.status is TransferStatus.CANCELED:
            mend = "Delete it, or choose another id"
            self._say("transfer id", Level.PROBLEM, f"transfer {recorded.id!r} was canceled", mend)
        elif recorded.status is TransferStatus.COMPLETED:
            mend = "Choose another id to transfer again"
            words = f"transfer {recorded.id!r} is complete, so there is nothing to do"
            self._say("transfer id", Level.WARNING, words, mend)
        else:
            self._say("transfer id", Level.OK, f"transfer {recorded.id!r} is {recorded.status}, and would be resumed")

    def look_at_globus(self, given: GlobusCredentials | str | None, *, create: bool, probe_writes: bool) -> None:
        """The login, and with it the places and what else can be known."""
        with ExitStack() as stack:
            try:
                credentials = find_credentials(given)
                globus = stack.enter_context(connected(credentials))
                globus.unfinished()
            except TransferError as error:
                self.findings.append(Finding.of("login", error))
                self._say("collection", Level.UNKNOWN, "the collections were not looked at, for want of a login")
                return
            self.findings.extend(_lasting(credentials, self._options))
            if len(self._places) == len(self._texts):
                places = Places(
                    globus,
                    self._places["source"],
                    self._places["destination"],
                    self._options,
                    create=create,
                    probe_writes=probe_writes,
                )
                self.findings.extend(places.findings())
        self._say(
            "quota", Level.UNKNOWN, "how much room a quota leaves is not known before a transfer", self._on_quota()
        )

    def _on_quota(self) -> str | None:
        if self._options.fail_on_quota_errors:
            return None
        return "To have a full quota end the transfer at once, set fail_on_quota_errors (--fail-on-quota-errors)"


def _ends(transfer: Transfer) -> dict[str, Location]:
    return {"source": transfer.source, "destination": transfer.destination}


def _lasting(credentials: GlobusCredentials, options: TransferOptions) -> Iterator[Finding]:
    """How long a login that works will go on to do so."""
    login = credentials.login(TransferScopes.resource_server)
    if login is None:
        words = "an access token cannot be renewed, and does not say when it expires; the transfer is PAUSED then"
        yield Finding(check="login", level=Level.WARNING, words=words, mend="Log in with: prefect-globus login")
    elif not isinstance(login, FileLogin):
        yield Finding(check="login", level=Level.OK, words="the login works, and renews itself")
    else:
        yield _lasting_file(login, options)


def _lasting_file(login: FileLogin, options: TransferOptions) -> Finding:
    stored = TokenStore(login.path, login.auth_url).login()
    token = stored.tokens.get(TransferScopes.resource_server) if stored else None
    if token is None or token.refresh_token is not None:
        return Finding(check="login", level=Level.OK, words=f"the login works, and renews itself; {_IDLE}")
    ends = datetime.fromtimestamp(token.expires_at_seconds, UTC)
    words = f"the login ends at {ends:%Y-%m-%d %H:%M} UTC"
    mend = "Log in with: prefect-globus login, without --no-renew"
    if options.deadline_seconds is None:
        words += "; a transfer that takes longer is PAUSED then, until somebody logs in again"
        return Finding(check="login", level=Level.WARNING, words=words, mend=mend)
    last = datetime.now(UTC) + timedelta(seconds=options.deadline_seconds)
    if last < ends:
        return Finding(check="login", level=Level.OK, words=f"{words}, after the deadline of its tasks")
    return Finding(check="login", level=Level.WARNING, words=f"{words}, before the deadline of its tasks", mend=mend)
