"""JSON in bulk: listings and manifests. By orjson, but for the lone surrogates that the names of files may have."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parsed(text: bytes) -> Any:  # noqa: ANN401 - any document
    """The document ``text``, in UTF-8; ValueError where it is none."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text.decode("utf-8", "surrogatepass"))


def text_of(document: Any) -> bytes:  # noqa: ANN401 - any document
    """``document`` in UTF-8, with no space that it can do without."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
