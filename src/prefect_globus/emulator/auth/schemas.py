"""The documents of Globus Auth as JSON schemas: what an answer always holds."""

from __future__ import annotations

from prefect_globus.emulator.schemas import (
    FLAG,
    GIVEN_TIME,
    NUMBER,
    TEXT,
    UUID,
    Schema,
    Schemas,
    answer,
    each,
    listing,
    nullable,
    ref,
)

ERROR: Schema = answer(
    errors=listing(answer(**each(TEXT, "id status code title detail"))) | {"minItems": 1},
    **each(TEXT, "error error_description"),
)

QUERY: dict[str, tuple[Schema, str]] = {
    "all": ({"enum": ["0", "1", "true", "false"]}, "Whether to show the consents to other clients, too"),
    "domains": (TEXT, "Domains of identity providers, joined by commas"),
    "ids": (TEXT, "UUIDs, joined by commas"),
    "include": ({"enum": ["identity_provider"]}, "What to show besides"),
    "provision": ({"enum": ["true", "false"]}, "Whether to make identities of names that were never seen"),
    "usernames": (TEXT, "User names, joined by commas"),
}

ANSWERS: dict[str, Schema] = {
    "userinfo": answer(sub=UUID),
    "identity": answer(
        id=UUID,
        username=TEXT,
        identity_provider=UUID,
        status=TEXT,
        **each(nullable(TEXT), "name email organization"),
    ),
    "identity_answer": answer(identity=ref("identity")),
    "identities": answer(identities=listing(ref("identity"))),
    "identity_providers": answer(
        identity_providers=listing(
            answer(id=UUID, **each(TEXT, "name short_name"), **each(listing(TEXT), "alternative_names domains"))
        )
    ),
    "consent": answer(
        id=NUMBER,
        dependency_path=listing(NUMBER) | {"minItems": 1},
        **each(UUID, "client scope effective_identity"),
        **each(TEXT, "scope_name status"),
        **each(FLAG, "allows_refresh auto_approved atomically_revocable"),
        **each(GIVEN_TIME, "created updated last_used"),
    ),
    "consents": answer(consents=listing(ref("consent"))),
}

SCHEMAS = Schemas(ERROR, QUERY, ANSWERS)
