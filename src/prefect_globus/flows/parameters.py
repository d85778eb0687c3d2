"""The parameters of flows as Prefect's form shows them: with a title, as people write them, blocks to choose from.

A parameter's sentence is that of the flow's docstring. `prefect_globus.transfers.forms` tells what the form makes of a
schema. A pattern begins with a comment, as the form shows it with what does not match it. A block is referred to by its
kind alone: its whole schema would have fields for its secrets, which do not belong into a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from prefect.blocks.core import Block
from pydantic import Field, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from prefect_globus.blocks import CheckpointStore, FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
from prefect_globus.transfers.forms import taken_bounds
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.schedules import TransferSchedule

_LOCATION = r"(?#COLLECTION_UUID:/path)^\s*[0-9A-Fa-f-]{32,36}\s*:/"
_LOCATION_TEMPLATE = r"(?#COLLECTION_UUID:/path)^[^:]+:/"
_ID = r"(?#such as backup-20261122)^[A-Za-z0-9][A-Za-z0-9._+=@:-]{0,127}$"


def titled(title: str, **schema: Any) -> FieldInfo:  # noqa: ANN401 - JSON
    """Give a parameter this title in the form, and more of a JSON schema.

    Prefect itself gives each parameter its name as title, and what is given here goes before that.
    """
    info: FieldInfo = Field(json_schema_extra={"title": title, **schema})
    return info


@dataclass(frozen=True)
class OrNone:
    """Of a number or a text that may be None: tabs for both, with these titles. Its bounds hold beside the tabs."""

    nothing: str
    title: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What the value may be, with None before it."""
        kind = next(kind for kind in handler(schema)["anyOf"] if kind.get("type") != "null")
        faces = kind["anyOf"] if "anyOf" in kind else [{"type": kind["type"], "title": self.title}]
        bounds = {key: kind[key] for key in kind.keys() - {"type", "anyOf"}}
        return {"anyOf": [{"type": "null", "title": self.nothing}, *faces], **bounds}


@dataclass(frozen=True)
class RecordOrNone:
    """Of a record that may be None: tabs for both, with these titles, and a sentence about all the fields."""

    nothing: str
    title: str
    description: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The fields with None before them; their bounds, too, hold beside the tabs."""
        reference = next(kind for kind in handler(schema)["anyOf"] if "$ref" in kind)
        record = handler.resolve_ref_schema(reference)
        record.update(title=self.title, description=self.description)
        return {"anyOf": [{"type": "null", "title": self.nothing}, reference], **taken_bounds(record)}


@dataclass(frozen=True)
class BlockOrNone:
    """Of a block, its name or None: tabs for each kind of block, with its title, and for the others."""

    nothing: str
    kinds: tuple[tuple[type[Block], str], ...]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Lists to choose from. Whatever refers to a block will do: from Python also one of a user's own kind."""
        titles = {kind.get_block_type_slug(): title for kind, title in self.kinds}
        lists = []
        for reference in handler(schema)["anyOf"]:
            block = handler.resolve_ref_schema(reference)
            slug = block.get("block_type_slug")
            if slug in titles:
                block.clear()
                block.update(type="object", title=titles[slug], block_type_slug=slug, required=["$ref"])
                lists.append(reference)
        by_name = {"type": "string", "title": "Block by name"}
        return {"anyOf": [{"type": "null", "title": self.nothing}, *lists, by_name]}


Source = Annotated[str, titled("Source", pattern=_LOCATION)]
Destination = Annotated[str, titled("Destination", pattern=_LOCATION)]
SourceTemplate = Annotated[str, titled("Source", pattern=_LOCATION_TEMPLATE)]
DestinationTemplate = Annotated[str, titled("Destination", pattern=_LOCATION_TEMPLATE)]

TransferId = Annotated[str, titled("Transfer", pattern=_ID)]
NewTransferId = Annotated[str | None, OrNone("Made for this run", "Named here"), titled("Transfer id", pattern=_ID)]

Options = Annotated[
    TransferOptions | None,
    RecordOrNone("Defaults", "Chosen here", "What is not changed here is as by default."),
    titled("Options"),
]
Schedule = Annotated[
    TransferSchedule | None,
    RecordOrNone("As the deployment's", "Given here", "For a schedule with a fixed interval."),
    titled("Schedule"),
]

Credentials = Annotated[
    GlobusCredentials | str | None,
    BlockOrNone("That of the worker", ((GlobusCredentials, "Saved block"),)),
    titled("Login to Globus"),
]
Checkpoints = Annotated[
    SqlCheckpointStore | FileCheckpointStore | CheckpointStore | str | None,
    BlockOrNone("Default database", ((SqlCheckpointStore, "SQL store"), (FileCheckpointStore, "File store"))),
    titled("Checkpoint store"),
]
