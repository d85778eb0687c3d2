"""Reading requests: pydantic models, on which the service itself is built, so that the errors are its own in shape."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.timers.model import Document

if TYPE_CHECKING:
    from collections.abc import Sequence


class InvalidRequest(ApiError):  # noqa: N818 -- named for what it is
    """The request says something that does not fit; the answer says where and why, one entry for each error."""

    def __init__(self, detail: Sequence[Document]) -> None:
        super().__init__(422, "InvalidRequest", "The request is invalid", {"detail": list(detail)})


Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], document: Document, place: str) -> Model:
    """Return a document as a model. Raises InvalidRequest, whose locations begin with `place`: body or query."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest([{**one, "loc": [place, *one["loc"]]} for one in found]) from error


def _utc(moment: datetime) -> datetime:
    """Return a moment in UTC, which it is taken to be in unless it says otherwise."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("There is no such moment in UTC") from error


Moment = Annotated[datetime, AfterValidator(_utc)]
