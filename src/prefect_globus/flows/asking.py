"""Asking: a flow run that is Paused in Prefect until a person has decided, in the form on its page.

The process that asks goes on meanwhile, with a client of Prefect that does not wait: so a stop is obeyed whatever
becomes of Prefect's server. What that may answer in the place of what was asked for is no answer, and it asks again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.input.run_input import Keyset, keyset_from_paused_state
from prefect.states import Crashed, Paused
from pydantic import BaseModel, ConfigDict, Field

from prefect_globus.tasks.prefect_client import impatient_client
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import PrefectServerError, first_line
from prefect_globus.transfers.markdown import printable
from prefect_globus.transfers.model import Approval
from prefect_globus.transfers.records import now

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_LONGER_SECONDS = 8.0
_ANSWER_SECONDS = 5.0
_AFTERWARDS = 300  # seconds that Prefect's form outlives the wait, so that ours ends first and says why
_APPROVE = "approve"
_T = TypeVar("_T")
_NAME, _COMMENT = 200, 2_000  # characters


class Decision(BaseModel):
    """The form that a person fills in."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "refuse"] = Field(
        title="Decision",
        description="approve: the transfer goes on as planned. refuse: it is canceled, with nothing of it submitted.",
    )
    name: str = Field(
        default="", title="Your name", description="For the record, as Prefect does not know it.", max_length=_NAME
    )
    comment: str = Field(default="", title="Comment", description="For the record.", max_length=_COMMENT)


class UnanswerableError(Exception):
    """Nobody can answer any more; the message says why."""


class Question:
    """What a flow run asks.

    Args:
        flow_run: which.
        key: of the question in Prefect; a new one when left out.
    """

    def __init__(self, flow_run: UUID, key: str | None = None) -> None:
        self.flow_run = flow_run
        self.key = key or str(uuid4())

    def put(self, stop: Stop, text: str, seconds: float, patience: float) -> None:
        """Have the flow run wait for a decision.

        Args:
            stop: ends the attempt.
            text: Markdown that stands above the form.
            seconds: for how long somebody may answer.
            patience: for how long Prefect's server may be out of reach, in seconds.

        Raises:
            PrefectServerError: it refuses, or is out of reach for longer.
            TransferStoppedError: the driver was told to stop.
        """
        refusal = _told(stop, patience, lambda client: self._put(client, text, seconds))
        if refusal:
            stop.wait_before_new(_LONGER_SECONDS)  # it may be being canceled, and we are told soon
            raise PrefectServerError(reason=f"flow run {self.flow_run} cannot wait for an approval: {refusal}")

    def _put(self, client: SyncPrefectClient, text: str, seconds: float) -> str | None:
        """Ask it, or find that it was asked; why that is refused."""
        keys = self._keyset
        for key, value in ((keys["schema"], Decision.model_json_schema()), (keys["description"], text)):
            try:
                client.create_flow_run_input(self.flow_run, key, json.dumps(value))
            except PrefectHTTPStatusError as error:
                if error.response.status_code != HTTPStatus.CONFLICT:  # else it is there: an answer was lost
                    raise
        state = self._state(seconds + _AFTERWARDS)
        state.state_details.run_input_keyset = dict(self._keyset)  # type: ignore[arg-type] # str, by another name
        answer = client.set_flow_run_state(self.flow_run, state)
        if answer.status is SetStateStatus.ACCEPT or self._waits(client.read_flow_run(self.flow_run).state):
            return None
        return str(answer.details)

    def answer(self, stop: Stop, give_up: float) -> Approval | None:
        """Wait for the decision; None when the flow run was resumed without one.

        Args:
            stop: ends the wait.
            give_up: until when to wait, by the monotonic clock.

        Raises:
            UnanswerableError: nobody has decided by then, or can.
            TransferStoppedError: the driver was told to stop.
        """
        while (left := give_up - time.monotonic()) > 0:
            stop.wait_before_new(min(_LOOK_SECONDS, left))
            try:
                with impatient_client(_ANSWER_SECONDS) as client:
                    state = client.read_flow_run(self.flow_run).state
                    if state is not None and state.is_running():
                        return self._read(client)
            except ObjectNotFound:
                raise UnanswerableError("its flow run was deleted") from None
            except Exception as error:  # noqa: BLE001 - whatever comes back, it is no answer
                _log.debug("Whether flow run %s was answered is not known: %s", self.flow_run, error)
                continue
            if state is not None and state.is_final() and not state.is_cancelled():  # a cancel stops us, too
                raise UnanswerableError(f"its flow run was set to {state.name}, and nobody can answer there")
        raise UnanswerableError

    def withdraw(self, stop: Stop, why: str, patience: float) -> Approval | None:
        """Read what was decided; if that is nothing, see to it that nobody is asked any more, and say why.

        Args:
            stop: ends the attempt.
            why: for whoever looks at the flow run.
            patience: for how long Prefect's server may be out of reach, in seconds.

        Raises:
            PrefectServerError: it is out of reach for longer.
            TransferStoppedError: the driver was told to stop.
        """
        return _told(stop, patience, lambda client: self._withdraw(client, why))

    def _withdraw(self, client: SyncPrefectClient, why: str) -> Approval | None:
        try:
            state = client.read_flow_run(self.flow_run).state
        except ObjectNotFound:  # with all that it knew
            return None
        if self._waits(state):
            client.set_flow_run_state(self.flow_run, Crashed(message=why), force=True)
        return self._read(client)

    def _read(self, client: SyncPrefectClient) -> Approval | None:
        try:
            text = client.read_flow_run_input(self.flow_run, self._keyset["response"])
        except PrefectHTTPStatusError as error:
            if error.response.status_code == HTTPStatus.NOT_FOUND:  # it was resumed past the form
                return None
            raise
        said = Decision.model_validate_json(text)  # it fits, as the server has seen to that
        approved = said.decision == _APPROVE
        return Approval(approved=approved, by=_line(said.name), comment=_line(said.comment), decided_at=now())

    def _waits(self, state: State[Any] | None) -> bool:
        return state is not None and state.is_paused() and state.state_details.pause_key == self.key

    @property
    def _keyset(self) -> Keyset:
        """The names under which Prefect keeps the form, and what was filled in."""
        return keyset_from_paused_state(self._state(0.0))

    def _state(self, seconds: float) -> State[Any]:
        return Paused(timeout_seconds=int(seconds), pause_key=self.key, message="It waits for an approval")


def _told(stop: Stop, patience: float, ask: Callable[[SyncPrefectClient], _T]) -> _T:
    """What Prefect's server answers when ``ask`` asks it, as often as need be."""
    give_up = time.monotonic() + patience
    while True:
        try:
            with impatient_client(_ANSWER_SECONDS) as client:
                return ask(client)
        except Exception as error:
            if time.monotonic() > give_up:
                raise PrefectServerError(reason=first_line(error)) from error
            _log.warning("Prefect's server does not answer: %s", first_line(error))
        stop.wait_before_new(_LOOK_SECONDS)


def _line(text: str) -> str | None:
    """What somebody has written, for a line of the log and of the record."""
    return printable(" ".join(text.split())) or None
