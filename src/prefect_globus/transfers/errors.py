"""Every error of the package, under one root."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class TransferError(Exception):
    """The transfer went wrong: {reason}."""

    # The class docstring is the message; the facts that fill it are attributes.
    # Whether the same call may succeed later is a property of the class, never read out of a text.

    retryable: ClassVar[bool] = False
    # Whether it goes away by itself when a person has mended something outside: a consent, a login, a pause.
    needs_person: ClassVar[bool] = False

    def __init__(self, **facts: Any) -> None:  # noqa: ANN401 - a fact may be anything that prints
        self.facts = facts
        message = inspect.cleandoc(self.template()).format(**facts).replace("\n", " ")
        super().__init__(message or f"{type(self).__name__}: {facts}")  # python -OO removes docstrings

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.facts)

    @classmethod
    def template(cls) -> str:
        """The message with its facts as ``{names}``."""
        return cls.__doc__ or TransferError.__doc__ or ""


def _rebuild(cls: type[TransferError], facts: dict[str, Any]) -> TransferError:
    return cls(**facts)


# --- bad input: refused before anything has moved -----------------------------------------------------------------


class InvalidInputError(TransferError, ValueError):
    """{reason}."""


class InvalidLocationError(InvalidInputError):
    """{text!r} is not a location: {reason}. Write COLLECTION_UUID:/absolute/path, as globus-cli does."""


class InvalidTransferIdError(InvalidInputError):
    """{transfer_id!r} cannot be a transfer id: {reason}. Use 1 to 128 letters, digits and . _ - + = @ :
    with a letter or digit first.
    """


class NotAsAWholeError(InvalidInputError):
    """{directory} has more entries than Globus lists, so that it can only be transferred as a whole, and Globus cannot
    be told what these options leave out of it: {options}. Nothing of it was moved. {mend}.
    """


class DirectoryGrownError(InvalidInputError):
    """The directory {path!r} has more entries than Globus lists by now, and a part of it is in the manifest of transfer
    {transfer_id!r} already, so that it cannot be transferred as a whole. Begin a new transfer.
    """


class OverlappingLocationsError(InvalidInputError):
    """The destination {destination} lies inside the source {source}: the transfer would copy its own copies.
    Choose a destination outside the source.
    """


class DifferentTransferError(InvalidInputError):
    """Transfer {transfer_id!r} already exists with {what} {recorded}, not {given}.
    Resume it as it is, or choose another transfer id.
    """


class SourceNotFoundError(InvalidInputError):
    """The source {location} does not exist. Check the path, and that the login may read it."""


class NoPrefectServerError(InvalidInputError):
    """Schedules need a Prefect server that is there when they are due. Start one, with prefect server start, and set
    PREFECT_API_URL to its address, such as http://127.0.0.1:4200/api.
    """


class NoWorkPoolError(InvalidInputError):
    """There is no work pool {work_pool!r} on the Prefect server. Make it, with
    prefect work-pool create {work_pool} --type process, and have a worker work on it, with
    prefect worker start --pool {work_pool}.
    """


class NoScheduleError(InvalidInputError):
    """There is no schedule {name!r}. prefect-globus schedule list shows those that there are."""


class ScheduleOverError(InvalidInputError):
    """This schedule is over, {schedule}: nothing would ever run. Choose a later time, or a later end."""


class ScheduleEndedError(InvalidInputError):
    """Schedule {name!r} has ended: {reason}. Make it anew, with prefect-globus schedule create, to have more runs."""


class PrefectServerError(TransferError):
    """The Prefect server that PREFECT_API_URL names does not do what it is asked for: {reason}."""


class TransferActiveError(TransferError):
    """Transfer {transfer_id!r} has {tasks} Globus tasks that may still be running. Cancel it first, with
    prefect-globus cancel {transfer_id}, or delete it by force (--force).
    """


class NothingToPauseError(TransferError):
    """Transfer {transfer_id!r} is {status}, so there is nothing to pause."""


class NothingToRedriveError(TransferError):
    """Transfer {transfer_id!r} is {status}, which is final, so nothing of it can be tried again. Begin another transfer
    between the same locations, with another id.
    """


class NoDeadLettersError(TransferError):
    """Transfer {transfer_id!r} has no dead letters{that}, so nothing was run.{has} To see what became of its files:
    prefect-globus items {transfer_id}
    """


class FilterCallbackMissingError(InvalidInputError):
    """Transfer {transfer_id!r} was begun with a filter callback and its scan is not complete, so it can only be
    resumed with that callback: call resumable_transfer with the same id and options.filter_callback.
    """


# --- the checkpoint store -----------------------------------------------------------------------------------------


class StoreError(TransferError):
    """The checkpoint store {store} failed: {reason}."""


class StoreUnavailableError(StoreError):
    """The checkpoint store {store} cannot be used: {reason}."""

    retryable = True


class StoreSchemaTooNewError(StoreError):
    """The checkpoint store {store} has schema version {found}, written by a newer prefect-globus; this one knows
    {known}. Upgrade prefect-globus.
    """


class CorruptCheckpointError(StoreError):
    """A checkpoint in {store} cannot be read: {reason}."""


class TransferNotFoundError(StoreError, KeyError):
    """There is no transfer {transfer_id!r} in the checkpoint store {store}. `prefect-globus list` shows those there
    are.
    """

    def __str__(self) -> str:  # KeyError would quote the message
        return str(self.args[0])


class OnRecordError(InvalidInputError):
    """Transfer {transfer_id!r} is on record already, so it would be resumed rather than begun. What is left of it is
    told by prefect-globus status {transfer_id}. For a plan of a new transfer choose another transfer id, or none.
    """


class TransferExistsError(StoreError):
    """Transfer {transfer_id!r} already exists in the checkpoint store {store}."""


class LeaseHeldError(StoreError):
    """Transfer {transfer_id!r} is driven by {holder} until at least {expires_at}. Wait for it (max_lock_wait, or
    --wait on the command line), or cancel it.
    """


class LeaseLostError(StoreError):
    """This process no longer drives transfer {transfer_id!r}: its lease {token} was taken over. Nothing was written."""


class InvalidTransitionError(StoreError):
    """{what} cannot go from {before} to {after}. Nothing was written."""


# --- Globus -------------------------------------------------------------------------------------------------------


class GlobusError(TransferError):
    """Globus refused {operation}: {reason} ({code}, HTTP {status})."""


class GlobusTransientError(GlobusError):
    """Globus could not do {operation} just now: {reason} ({code}, HTTP {status})."""

    retryable = True


class GlobusUnreachableError(GlobusTransientError):
    """Globus cannot be reached for {operation}: {reason}. Check the network, and the addresses in
    GLOBUS_SDK_SERVICE_URL_TRANSFER, _AUTH and _TIMER if you set them.
    """


class GlobusAuthError(GlobusError):
    """Globus did not accept the credentials for {operation}: {reason} ({code}, HTTP {status}). Check the client id
    and secret, or log in again with: prefect-globus login
    """

    needs_person = True


class NotLoggedInError(GlobusAuthError):
    """There is no login for {service} in {path}, from {auth_url}. Log in with: prefect-globus login"""

    # A run that finds this waits for the login, as it does for one that Globus refuses.


class LoginExpiredError(GlobusAuthError):
    """The login in {path} has expired for {service} and cannot be renewed. Log in again with: prefect-globus login"""


class GlobusConsentError(GlobusError):
    """Globus wants a consent for {operation} that was not given: {reason} ({code}, HTTP {status}). {mend}"""

    needs_person = True

    def __init__(self, **facts: Any) -> None:  # noqa: ANN401 - a fact may be anything that prints
        super().__init__(**{"mend": "Give it with: prefect-globus login --collection UUID", **facts})


class GlobusOperationPausedError(GlobusError):
    """An administrator has paused {operation}: {reason} ({code}, HTTP {status})."""

    needs_person = True


class GlobusUntrustedError(GlobusError):
    """What answers in the place of Globus cannot be trusted with {operation}: {reason}. Check the address, as in
    GLOBUS_SDK_SERVICE_URL_TRANSFER, and the certificates of this machine.
    """


class GlobusNotFoundError(GlobusError):
    """Globus does not know what {operation} asked for: {reason} ({code}, HTTP {status})."""


class GlobusRefusedPathError(GlobusError):
    """The collection refused {operation}: {reason} ({code}, HTTP {status}). Check the permissions of the path."""


class DirectoryTooLargeError(GlobusRefusedPathError):
    """Globus does not do {operation}, because the directory has too many entries ({code}, HTTP {status})."""


class GlobusInvalidRequestError(GlobusError):
    """Globus refused {operation} as invalid: {reason} ({code}, HTTP {status})."""


class TaskNotVisibleError(TransferError):
    """Globus does not show task {task_id} of transfer {transfer_id!r} to this login. It may still be running, so
    nothing was submitted in its place. Resume with the login that began the transfer.
    """


class GlobusConflictError(GlobusError):
    """Another unfinished Globus task has the same paths as {operation}: {reason} ({code}, HTTP {status}).
    Wait for it or cancel it.
    """

    retryable = True


class TaskInTheWayError(TransferError):
    """Batch {number} of transfer {transfer_id!r} was not submitted, because for {waited} another unfinished Globus task
    has had the same paths: {tasks}. Wait for it or cancel it, then resume this transfer.
    """


class MissingCredentialsError(InvalidInputError):
    """No Globus credentials were found. Set GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET, log in with prefect-globus
    login, or pass a GlobusCredentials block or its name.
    """


class MissingClientIdError(InvalidInputError):
    """A login needs the client id of an application of yours. At https://app.globus.org/settings/developers register
    one as a native app (a thick client), and give its id by --client-id, or set GLOBUS_CLIENT_ID.
    """


class TokenFileError(TransferError):
    """The token file {path} cannot be used: {reason}. If that cannot be mended, delete it and log in again with:
    prefect-globus login
    """


# --- Globus Timers ------------------------------------------------------------------------------------------------


class NotForTimersError(InvalidInputError):
    """A Globus Timer cannot have these options: {what}. Leave them out, or have Prefect run the transfer with them:
    prefect-globus schedule create
    """


class TimerNotImportableError(InvalidInputError):
    """Timer {timer} cannot become a deployment: {reason}. Nothing was changed."""


class DeploymentExistsError(InvalidInputError):
    """There is a schedule {name!r} already, and it is left as it is. Choose another name, with --name, or delete it
    first, with prefect-globus schedule delete {name}
    """


class TimerEndedError(InvalidInputError):
    """Timer {timer} has ended and will not run again; it has run {times}. Make another, to have more runs, with
    prefect-globus timers create
    """


class TimerNotPausedError(TransferError):
    """What Timer {timer} does is now run by {names}, too, as the Timer could not be paused: {reason} Both run until you
    pause it with: prefect-globus timers pause {timer}
    """


class TimerInDoubtError(TransferError):
    """Globus may or may not have made the timer {name!r}: {reason}. Look for it before you make it again:
    prefect-globus timers list
    """


# --- how a transfer or one of its batches ended -------------------------------------------------------------------


class BatchIncompleteError(TransferError):
    """Batch {number} of transfer {transfer_id!r} has {remaining} of {items} items left after attempt {attempt}
    ended as {outcome}: {reason}.
    """

    retryable = True


class TaskFailedForGoodError(TransferError):
    """Globus task {task_id} of batch {number} of transfer {transfer_id!r} has failed as any other would: {reason}.
    Mend that (room at the destination, for a quota), then resume the transfer.
    """


class BatchDeadLettersError(TransferError):
    """{dead} of the {items} items of batch {number} of transfer {transfer_id!r} failed for good: {reason}."""


class TransferFailedError(TransferError):
    """Transfer {transfer_id!r} failed with {transferred} of {items} items transferred and {missing} not delivered:
    {reason}. See prefect-globus items {transfer_id} --failed, or --remaining.
    Resume it with: prefect-globus resume {transfer_id}
    """


class NotDeliveredError(TransferError):
    """Transfer {transfer_id!r} is {status} with {missing} items not delivered, so nothing is deleted. Complete it
    first, with: prefect-globus resume {transfer_id}
    """


class RemovalFailedError(TransferError):
    """Transfer {transfer_id!r} has delivered everything, but {left} of what was to be deleted from {location} is still
    there: {reason}. Mend that, such as a missing permission to write, then go on with: prefect-globus {command}
    """


class SameStorageError(TransferError):
    """The source {source} and the destination {destination} of transfer {transfer_id!r} are the same storage: when
    {path} was deleted at the source, it was gone at the destination. Nothing else was deleted. There is no copy of what
    is there: choose a destination apart from the source, and bring {path} back from elsewhere.
    """


class EmptySourceError(TransferError):
    """The source {source} of transfer {transfer_id!r} was empty, as it is when a disk is not mounted, so the {items}
    things at the destination {destination} were left there. If they are to be deleted all the same:
    prefect-globus delete-extra {transfer_id} --emptied
    """


class TransferCanceledError(TransferError):
    """Transfer {transfer_id!r} was canceled with {transferred} of {items} items transferred. To begin again, delete
    it or choose another transfer id.
    """


class TransferRefusedError(TransferCanceledError):
    """Transfer {transfer_id!r} was refused by {by}{comment}. Nothing of it was submitted. To begin again, delete it or
    choose another transfer id.
    """


class TransferPausedError(TransferError):
    """Transfer {transfer_id!r} is paused: {reason}. Resume it with: prefect-globus resume {transfer_id}"""


class NotApprovedError(TransferPausedError):
    """Transfer {transfer_id!r} is paused: {reason}. Without an approval nothing is submitted. To be asked again:
    prefect-globus resume {transfer_id}
    """


class MoreToDeleteError(TransferError):
    """At the destination of transfer {transfer_id!r} more is extra than the plan said that was approved, {approved}
    things. What is beyond that was not deleted. To be asked again, with a new plan: prefect-globus resume {transfer_id}
    """


class NobodyToAskError(InvalidInputError):
    """This transfer wants an approval, and there is nobody to ask: no Prefect server whose UI could show the question.
    Set PREFECT_API_URL, as http://127.0.0.1:4200/api after prefect server start; or decide by an approval_callback, on
    the command line at a terminal.
    """


class TransferStoppedError(TransferError):
    """This process was told to stop driving transfer {transfer_id!r}. Resume it with:
    prefect-globus resume {transfer_id}
    """


class NothingLandedError(TransferError):
    """No batch of transfer {transfer_id!r} has landed for {seconds} s; it is {status}. To see who drives it:
    prefect-globus status {transfer_id}
    """

    retryable = True


class DeliveryDiffersError(TransferError):
    """{differing} of the {delivered} items that transfer {transfer_id!r} has delivered differ at the destination,
    the first being {first!r}, so nothing was loaded. To move them again:
    prefect-globus verify {transfer_id} --repair
    """


class CatalogueError(TransferError):
    """The catalogue {table} in the database of block {database!r} cannot be written: {reason}."""


class PreflightFailedError(TransferError):
    """The transfer from {source} to {destination} cannot begin: {problems}."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for people."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
