"""How a record looks in a form of Prefect's, for parameters or for a block, which is made from its JSON schema.

What was found out about the form of Prefect 3.8.8, in both of its UIs:

- A field of several types has a tab for each of them, and so has None. A field that may be left empty needs no tab for
  it: where its schema has one type and no default, the server takes a null for it, too.
- An empty field is left out, but a default is filled in, and sent. Examples are not shown, so they are told in words.
- What is wrong in one of several types is told of the whole: of options that may be None, with all of them in the
  message. So what the fields are bounded by stands beside the tabs, where it is told of the field.
- Fields stand in the order of their ``position``. Without it a server on PostgreSQL, which keeps no order of keys,
  shuffles them.
"""

from __future__ import annotations

from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from prefect_globus.transfers.quantities import SPAN, exact_span

_NULL = "null"
_BOUNDS = ("maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class InForm:
    """Of a model whose fields a person may fill in; to be named before its other bases."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What the form is made from, and what Prefect's server checks parameters by."""
        made = handler.resolve_ref_schema(handler(schema))
        fields = made["properties"].items()
        return made | {"properties": {name: _field(field, place) for place, (name, field) in enumerate(fields)}}


def taken_bounds(record: JsonSchemaValue) -> JsonSchemaValue:
    """Take from the schema of a record what its fields have to be apart from their type, as a schema of its own."""
    fields = record["properties"].items()
    bounds = {name: {key: field.pop(key) for key in _BOUNDS if key in field} for name, field in fields}
    return {"properties": bounds, "additionalProperties": record.pop("additionalProperties", True)}


def _field(field: dict[str, Any], position: int) -> dict[str, Any]:
    if field.get("default", _NULL) is None and "anyOf" in field:
        field = _without_null(field)
    if field.get("pattern") == SPAN.pattern and "default" in field:
        field = field | {"default": exact_span(field["default"])}
    return field | {"description": described(field), "position": position}


def described(field: dict[str, Any]) -> str:
    """What a form says of ``field``: its description, with an example if it has some."""
    words, examples = field.get("description", ""), field.get("examples", [])
    return f"{words} For example: {', '.join(map(_shown, examples))}" if examples else str(words)


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    kinds: list[dict[str, Any]] = [kind for kind in field["anyOf"] if kind.get("type") != _NULL]
    if len(kinds) > 1 or "enum" in kinds[0] or "$ref" in kinds[0]:
        return field  # a drop-down cannot be emptied, and so needs a tab beside it
    if "anyOf" in kinds[0]:  # it has tabs anyway
        kinds[0]["anyOf"].append({"type": _NULL, "title": "None"})
    return kinds[0] | {key: value for key, value in field.items() if key not in ("anyOf", "default")}


def _shown(example: Any) -> str:  # noqa: ANN401 - of any field
    return ", ".join(example) if isinstance(example, (list, tuple)) else str(example)
