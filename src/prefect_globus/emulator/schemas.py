"""The words in which each service describes its documents as JSON schemas, for openapi.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\+00:00$"}
GIVEN_TIME: Schema = {"type": "string", "format": "date-time"}
PATH: Schema = {"type": "string", "pattern": r"^/[^\x00\r\n]*$"}


class Schemas(NamedTuple):
    """What a service says of its documents.

    Attributes:
        error: what every refusal looks like.
        query: by name, what a query parameter may hold, and what it means.
        components: the schemas by name; that of the body of a request is called NAME_request.
    """

    error: Schema
    query: Mapping[str, tuple[Schema, str]]
    components: Mapping[str, Schema]


def requests(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return schemas of what clients send under the names that tell them from answers."""
    return {f"{name}_request": schema for name, schema in schemas.items()}


def nullable(schema: Schema) -> Schema:
    """Return a schema that null fits, too."""
    if "type" in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def listing(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    """Return a reference to one of the schemas by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(data_type: str | None = None, /, **fields: Schema) -> Schema:
    """Return the schema of a document in which every field is there, and perhaps more."""
    properties = ({"DATA_TYPE": {"const": data_type}} if data_type else {}) | fields
    return {"type": "object", "required": list(properties), "properties": properties}


def request(data_type: str | None = None, required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    """Return the schema of a document that a client sends; fields that it does not name are ignored."""
    properties = ({"DATA_TYPE": {"const": data_type}} if data_type else {}) | fields
    return {"type": "object", "required": list(required), "properties": properties}


def each(schema: Schema, names: str) -> dict[str, Schema]:
    """Return fields of one kind, by names between blanks."""
    return dict.fromkeys(names.split(), schema)
