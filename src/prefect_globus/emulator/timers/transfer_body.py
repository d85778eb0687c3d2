"""The transfer document of a timer: a submission without its submission_id (contract sections 3 and 7)."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from prefect_globus.emulator.errors import BadRequest
from prefect_globus.emulator.tasks.submission import read_transfer
from prefect_globus.emulator.timers.model import Document

# The names of the older action for the fields of a transfer document.
OLDER_NAMES = {
    "source_endpoint_id": "source_endpoint",
    "destination_endpoint_id": "destination_endpoint",
    "transfer_items": "DATA",
}


class TransferItem(BaseModel):
    """An item of a transfer document."""

    DATA_TYPE: Literal["transfer_item"] = "transfer_item"
    source_path: str
    destination_path: str
    recursive: bool | None = None
    external_checksum: str | None = None
    checksum_algorithm: str | None = None


class FilterRule(BaseModel):
    """A filter rule of a transfer document."""

    DATA_TYPE: Literal["filter_rule"] = "filter_rule"
    name: str
    method: Literal["include", "exclude"] = "exclude"
    type: Literal["file", "dir"] | None = None


class TransferDocument(BaseModel):
    """A transfer document without a submission_id. It is checked as a submission is, but for consents and paths."""

    DATA_TYPE: Literal["transfer"] = "transfer"
    source_endpoint: uuid.UUID
    destination_endpoint: uuid.UUID
    DATA: list[TransferItem] = Field(min_length=1)
    deadline: str | None = None
    delete_destination_extra: bool = False
    destination_local_user: str | None = None
    encrypt_data: bool = False
    fail_on_quota_errors: bool = False
    filter_rules: list[FilterRule] | None = None
    label: str | None = None
    notify_on_failed: bool = True
    notify_on_inactive: bool = True
    notify_on_succeeded: bool = True
    preserve_timestamp: bool = False
    recursive_symlinks: Literal["ignore", "keep", "copy"] | None = None
    skip_source_errors: bool = False
    source_local_user: str | None = None
    store_base_path_info: bool = False
    sync_level: Literal[0, 1, 2, 3] | None = None
    verify_checksum: bool = False

    @property
    def document(self) -> Document:
        """The document with its defaults filled in."""
        return self.model_dump(mode="json", exclude_none=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            read_transfer(self.document | {"submission_id": str(uuid.uuid4())})
        except BadRequest as error:
            raise ValueError(error.message) from error
        return self


def _with_newer_names(body: object) -> object:
    return {OLDER_NAMES.get(name, name): value for name, value in body.items()} if isinstance(body, dict) else body


class CallbackBody(BaseModel):
    """What the Transfer action is called with, in the words of any of its versions."""

    body: Annotated[TransferDocument, BeforeValidator(_with_newer_names)]
