"""What clients ask of Globus Auth themselves, most of it with forms: tokens, what they stand for, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_globus.emulator.auth import openid
from prefect_globus.emulator.auth.clients import Instance, authenticate, confidential
from prefect_globus.emulator.auth.errors import OAuthError
from prefect_globus.emulator.auth.grants import grant
from prefect_globus.emulator.errors import ApiError, BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.auth.identities import Identity
    from prefect_globus.emulator.auth.tokens import Token
    from prefect_globus.emulator.site import Site

Document = dict[str, Any]

LONGEST_NAME = 200


class ClientCall(NamedTuple):
    """A request of a client for itself.

    Attributes:
        site: what is served.
        origin: the address that the request came to, without a path.
        authorization: the header of that name.
        fields: its form, or the `client` of its JSON document.
        path: the names in its path.
    """

    site: Site
    origin: str
    authorization: str
    fields: Mapping[str, Any]
    path: Mapping[str, str]


def configuration(call: ClientCall) -> Document:
    """Answer GET /.well-known/openid-configuration."""
    return openid.configuration(call.origin)


def keys(call: ClientCall) -> Document:
    """Answer GET /jwk.json."""
    return call.site.signing_keys.public()


def token(call: ClientCall) -> Document | list[Document]:
    """Answer POST /v2/oauth2/token."""
    return grant(call.site, call.origin, call.authorization, call.fields)


def introspect(call: ClientCall) -> Document:
    """Answer POST /v2/oauth2/token/introspect, for any client that shows its secret."""
    confidential(authenticate(call.site, call.authorization, call.fields))
    found = call.site.tokens.find(_secret(call))
    identity = None if found is None else call.site.identities.find(found.owner.identity)
    if found is None or identity is None:
        return {"active": False}
    included = call.fields.get("include", "").split(",")
    return _introspection(call.origin, found, identity) | _included(found, identity, included)


def _introspection(origin: str, found: Token, identity: Identity) -> Document:
    owner, issued_at = found.owner, int(found.issued_at)
    return {
        "active": True,
        "token_type": "Bearer",
        "scope": owner.scope,
        "client_id": owner.client_id,
        "sub": identity.id,
        "username": identity.username,
        "name": identity.name,
        "email": identity.email,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": int(found.expires_at),
        "aud": [owner.resource_server, owner.client_id],
        "iss": origin,
    }


def _included(found: Token, identity: Identity, included: list[str]) -> Document:
    """Return what is told only if it is asked for. A session here is the login that the token came from."""
    extra: Document = {}
    if "identity_set" in included:
        extra["identity_set"] = [identity.id]
    if "identity_set_detail" in included:
        extra["identity_set_detail"] = [openid.identity_set_entry(identity)]
    if "session_info" in included:
        authentication = {
            "idp": identity.provider.id,
            "auth_time": int(found.issued_at),
            "acr": None,
            "amr": None,
            "custom_claims": {},
        }
        extra["session_info"] = {
            "session_id": identity.id,
            "authentications": {} if identity.is_client else {identity.id: authentication},
        }
    return extra


def revoke(call: ClientCall) -> Document:
    """Answer POST /v2/oauth2/token/revoke. Whoever has a token may revoke it: globus-cli does so as another client."""
    if call.authorization or "client_secret" in call.fields:
        authenticate(call.site, call.authorization, call.fields)
    call.site.tokens.revoke(_secret(call))
    return {"active": False}


def validate(call: ClientCall) -> Document:
    """Answer POST /v2/oauth2/token/validate."""
    authenticate(call.site, call.authorization, call.fields)
    return {"active": call.site.tokens.find(_secret(call)) is not None}


def create_client(call: ClientCall) -> Document:
    """Answer POST /v2/api/clients: an instance of a native client, as globus-cli makes one at `globus login`."""
    if call.site.client is not None:
        raise ApiError(403, "FORBIDDEN", "This emulator serves one client only, the one of --client")
    template, name = call.fields.get("template_id"), call.fields.get("name")
    if not (isinstance(template, str) and isinstance(name, str) and 0 < len(name) <= LONGEST_NAME):
        raise BadRequest("'client' must have a 'template_id', the id of a native client, and a 'name'")
    instance, secret = call.site.clients.create(template[:LONGEST_NAME], name)
    credential = {
        "id": instance.credential,
        "name": "Auto-created at client creation",
        "client": instance.id,
        "secret": secret,
    }
    return {"client": _client_document(instance), "included": {"client_credential": credential}}


def get_client(call: ClientCall) -> Document:
    """Answer GET /v2/api/clients/ID: a client may look at itself."""
    return {"client": _client_document(_own_instance(call))}


def delete_client(call: ClientCall) -> Document:
    """Answer DELETE /v2/api/clients/ID: a client may end itself."""
    instance = _own_instance(call)
    call.site.clients.delete(instance.id)
    return {"client": _client_document(instance)}


def _own_instance(call: ClientCall) -> Instance:
    try:
        caller = confidential(authenticate(call.site, call.authorization, {}))
    except OAuthError as error:
        raise ApiError(401, "UNAUTHORIZED", str(error)) from error
    instance = call.site.clients.find(caller.client_id)
    if instance is None or instance.id != call.path["client"]:
        raise ApiError(404, "NOT_FOUND", f"No client with id '{call.path['client']}' that is yours")
    return instance


def _client_document(instance: Instance) -> Document:
    """Return the document of an instance, as the SDK's canned `create_native_app_instance`."""
    return {
        "id": instance.id,
        "name": instance.name,
        "parent_client": instance.template,
        "project": None,
        "public_client": False,
        "client_type": "confidential_client",
        "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
        "redirect_uris": [],
        "scopes": [],
        "fqdns": [],
        "links": {"privacy_policy": None, "terms_and_conditions": None},
        "visibility": "private",
        "required_idp": None,
        "preselect_idp": None,
        "prompt_for_named_grant": False,
        "userinfo_from_effective_identity": True,
    }


def _secret(call: ClientCall) -> str:
    found = call.fields.get("token", "")
    if not found:
        raise OAuthError(400, "invalid_request", "token is missing")
    return str(found)
