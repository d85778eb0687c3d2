"""The Auth API: userinfo, identities and consents, for whoever has a token of auth.globus.org (contract section 8)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.auth import openid
from prefect_globus.emulator.auth.identities import PROVIDERS, Identity, is_of_client, read_username
from prefect_globus.emulator.auth.scopes import resource_server
from prefect_globus.emulator.errors import ApiError, BadRequest
from prefect_globus.emulator.identities import identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_globus.emulator.auth.consents import Consent
    from prefect_globus.emulator.web import Call

Document = dict[str, Any]

MOST_NAMES = 500


def userinfo(call: Call) -> Document:
    """Answer GET /v2/oauth2/userinfo: what the scopes of the token let see."""
    identity = call.site.identities.find(call.identity)
    if "openid" not in call.owner.scopes or identity is None:
        raise ApiError(403, "FORBIDDEN", "The token has no openid scope")
    return openid.claims(identity, call.owner.scopes)


def post_userinfo(call: Call) -> Document:
    """Answer POST /v2/oauth2/userinfo as GET."""
    return userinfo(call)


def get_identities(call: Call) -> Document:
    """Answer GET /v2/api/identities, by `ids` or by `usernames`.

    Who was never seen here is left out, or made by `provision`.
    """
    ids, usernames = _names(call, "ids"), _names(call, "usernames")
    if bool(ids) == bool(usernames):
        raise BadRequest("Either 'ids' or 'usernames' is required, separated by commas")
    store = call.site.identities
    if ids:
        found = store.with_ids([one.lower() for one in ids])
    else:
        names = [name for name in map(read_username, usernames) if name is not None]
        if call.flag("provision", default=False):
            for name in names:
                if not is_of_client(name):
                    store.user(name)
        found = store.with_usernames(names)
    return {"identities": [one.document for one in found]} | _included(call, found)


def get_identity(call: Call) -> Document:
    """Answer GET /v2/api/identities/ID."""
    asked = call.path["identity"]
    found = call.site.identities.find(asked.lower())
    if found is None:
        raise ApiError(404, "NOT_FOUND", f"No identity with id '{asked}'")
    return {"identity": found.document} | _included(call, [found])


def _included(call: Call, identities: Sequence[Identity]) -> Document:
    if call.query.get("include") != "identity_provider":
        return {}
    providers = {one.provider.id: one.provider.document for one in identities}
    return {"included": {"identity_providers": list(providers.values())}}


def get_identity_providers(call: Call) -> Document:
    """Answer GET /v2/api/identity_providers, by `ids` or by `domains`."""
    ids, domains = _names(call, "ids"), _names(call, "domains")
    if bool(ids) == bool(domains):
        raise BadRequest("Either 'ids' or 'domains' is required, separated by commas")
    return {"identity_providers": [one.document for one in PROVIDERS if one.id in ids or one.domain in domains]}


def get_consents(call: Call) -> Document:
    """Answer GET /v2/api/identities/ID/consents: the caller's own, for the client that asks or, with `all`, for any."""
    _check_own(call)
    client_id = None if call.flag("all", default=False) else call.owner.client_id
    return {"consents": _documents(call.site.consents.of(call.identity, client_id))}


def rescind_consent(call: Call) -> Document:
    """Answer DELETE /v2/api/identities/ID/consents/NUMBER, with what is left.

    An addition of this emulator: with Globus a person does this on the page /v2/web/consents.
    """
    _check_own(call)
    asked = call.path["consent"]
    consents = {str(one.number): one for one in call.site.consents.of(call.identity)}
    if asked not in consents:
        raise ApiError(404, "NOT_FOUND", f"No consent with id '{asked}'")
    call.site.consents.rescind(consents[asked].number)
    return {"consents": _documents(call.site.consents.of(call.identity))}


def _check_own(call: Call) -> None:
    if identity_of(call.path["identity"]) != call.identity:
        raise ApiError(403, "FORBIDDEN", "Consents may be seen by the identity that has given them only")


def _documents(consents: Sequence[Consent]) -> list[Document]:
    by_number = {one.number: one for one in consents}
    paths: dict[int, list[int]] = {}
    for one in consents:
        paths[one.number] = [*paths.get(one.parent, []), one.number]
    return [_document(one, paths[one.number], by_number.get(one.parent)) for one in consents]


def _document(consent: Consent, path: list[int], parent: Consent | None) -> Document:
    """Return the document of a consent. Its client is the one that uses it: the service, where it has a parent."""
    return {
        "id": consent.number,
        "client": identity_of(consent.client_id if parent is None else resource_server(parent.scope_name)),
        "scope": str(uuid.uuid5(uuid.NAMESPACE_URL, consent.scope_name)),
        "scope_name": consent.scope_name,
        "effective_identity": consent.identity,
        "dependency_path": path,
        "status": "approved",
        "allows_refresh": consent.allows_refresh,
        "auto_approved": False,
        "atomically_revocable": consent.optional,
        "created": _time(consent.created),
        "updated": _time(consent.updated),
        "last_used": _time(consent.updated),
    }


def _names(call: Call, parameter: str) -> list[str]:
    names = [name for name in call.query.get(parameter, "").split(",") if name]
    if len(names) > MOST_NAMES:
        raise BadRequest(f"'{parameter}' has more than {MOST_NAMES} entries")
    return names


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
