"""Transfer API: searching for collections (contract section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.errors import BadRequest
from prefect_globus.emulator.identities import OWNER_ID, OWNER_NAME
from prefect_globus.emulator.transfer.endpoint_documents import endpoint_document, entity_type

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.web import Call

Document = dict[str, Any]

PAGE = 100
MOST = 1000
ENTITY_TYPES = (
    "GCP_mapped_collection",
    "GCP_guest_collection",
    "GCSv5_endpoint",
    "GCSv5_mapped_collection",
    "GCSv5_guest_collection",
)
# Nobody who asks owns or shares a local collection, and anybody may administer it. [inferred]
EVERYTHING = frozenset({"all", "administered-by-me"})
NOTHING = frozenset({"my-endpoints", "my-gcp-endpoints", "shared-by-me", "shared-with-me"})
USED = frozenset({"recently-used", "in-use"})
OWNED = frozenset({"my-endpoints", "my-gcp-endpoints", "shared-by-me"})


def search(call: Call) -> Document:
    """Answer GET endpoint_search."""
    _check(call)
    offset, limit = call.number("offset", 0), call.number("limit", PAGE, PAGE)
    served = call.site.collections.values()
    within = _within(call)
    found = [one for one in served if one.uuid in within and _is_wanted(call, one)][:MOST]
    return {
        "DATA_TYPE": "endpoint_list",
        "DATA": [endpoint_document(one) for one in found[offset : offset + limit]],
        "has_next_page": offset + limit < len(found),
        "limit": limit,
        "offset": offset,
    }


def _check(call: Call) -> None:
    """Refuse what globus-sdk says that Globus refuses. Raises BadRequest."""
    scope, kind = call.query.get("filter_scope"), call.query.get("filter_entity_type")
    scopes = EVERYTHING | NOTHING | USED
    if scope and scope not in scopes:
        raise BadRequest(f"'filter_scope' must be one of {', '.join(sorted(scopes))}")
    if scope in OWNED and call.query.get("filter_owner_id"):
        raise BadRequest(f"'filter_owner_id' cannot be used with the scope {scope}")
    if kind and kind not in ENTITY_TYPES:
        raise BadRequest(f"'filter_entity_type' must be one of {', '.join(ENTITY_TYPES)}")
    if kind and call.query.get("filter_non_functional"):
        raise BadRequest("'filter_entity_type' and 'filter_non_functional' cannot be used together")


def _within(call: Call) -> AbstractSet[str]:
    """Return the UUIDs of the collections in the scope that is asked for."""
    scope = call.query.get("filter_scope") or "all"
    if scope in NOTHING:
        return frozenset()
    if scope in EVERYTHING:
        return call.site.collections.keys()
    tasks = call.site.tasks.of_owner(call.owner.identity)
    used = [task for task in tasks if scope == "recently-used" or not task.is_finished]
    return {end for task in used for end in (task.source_endpoint, task.destination_endpoint) if end is not None}


def _is_wanted(call: Call, collection: CollectionSpec) -> bool:
    text = call.query.get("filter_fulltext", "").lower()
    owner, kind = call.query.get("filter_owner_id"), call.query.get("filter_entity_type")
    words = f"{collection.name} {collection.uuid} {OWNER_NAME}".lower()
    return (
        all(word in words for word in text.split())
        and (not owner or owner in (OWNER_ID, OWNER_NAME))
        and (not kind or kind == entity_type(collection))
        and not call.query.get("filter_host_endpoint")  # no endpoint hosts a local collection
        and not call.flag("filter_non_functional", default=False)
    )
