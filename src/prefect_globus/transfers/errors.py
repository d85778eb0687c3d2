"""Every error of the package, under one root."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class TransferError(Exception):
    """The transfer went wrong: {reason}."""

    # The class docstring is the message; the facts that fill it are attributes.
    # Whether the same call may succeed later is a property of the class, never read out of a text.

    retryable: ClassVar[bool] = False

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


class TransferActiveError(TransferError):
    """Transfer {transfer_id!r} has {tasks} Globus tasks that may still be running. Cancel it first, with
    prefect-globus cancel {transfer_id}, or delete it by force (--force).
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
    """Globus cannot be reached for {operation}: {reason}. Check the network, and GLOBUS_SDK_SERVICE_URL_TRANSFER
    if you set it.
    """


class GlobusAuthError(GlobusError):
    """Globus did not accept the credentials for {operation}: {reason} ({code}, HTTP {status}). Check the client id
    and secret, or log in again.
    """


class GlobusConsentError(GlobusError):
    """Globus wants a consent for {operation} that was not given: {reason} ({code}, HTTP {status})."""


class GlobusNotFoundError(GlobusError):
    """Globus does not know what {operation} asked for: {reason} ({code}, HTTP {status})."""


class GlobusRefusedPathError(GlobusError):
    """The collection refused {operation}: {reason} ({code}, HTTP {status}). Check the permissions of the path."""


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


class MissingCredentialsError(InvalidInputError):
    """No Globus credentials were found. Set GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET, or pass a GlobusCredentials
    block or its name.
    """


# --- how a transfer or one of its batches ended -------------------------------------------------------------------


class BatchIncompleteError(TransferError):
    """Batch {number} of transfer {transfer_id!r} has {remaining} of {items} items left after attempt {attempt}
    ended as {outcome}: {reason}.
    """

    retryable = True


class BatchDeadLettersError(TransferError):
    """{dead} of the {items} items of batch {number} of transfer {transfer_id!r} failed for good: {reason}."""


class TransferFailedError(TransferError):
    """Transfer {transfer_id!r} failed with {transferred} of {items} items transferred and {missing} not delivered:
    {reason}. Resume it with: prefect-globus resume {transfer_id}
    """


class TransferCanceledError(TransferError):
    """Transfer {transfer_id!r} was canceled with {transferred} of {items} items transferred. To begin again, delete
    it or choose another transfer id.
    """


class TransferStoppedError(TransferError):
    """This process was told to stop driving transfer {transfer_id!r}. Resume it with:
    prefect-globus resume {transfer_id}
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for people."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
