"""Who is logged in to Globus, as a record."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from prefect_globus.transfers.records import Record


class ServiceLogin(Record):
    """What a login is good for at one service.

    Args:
        service: ``transfer``, ``timers`` or ``auth``.
        renews: whether its token is renewed when it expires.
        expires_at: when it ends if it does not; None where that is not known.
        consents: the collections whose data it may reach, of those that ask for a consent of their own.
    """

    service: str
    renews: bool
    expires_at: datetime | None = None
    consents: tuple[UUID, ...] = ()


class LoginStatus(Record):
    """A login to Globus that works.

    Args:
        how: the kind of login, in words, and where it is kept.
        client_id: the application that logs in; None for a bare access token.
        username: who is logged in; None where Globus Auth cannot be asked.
        identity: the identity of that name.
        services: what it is good for.
    """

    how: str
    client_id: str | None = None
    username: str | None = None
    identity: UUID | None = None
    services: tuple[ServiceLogin, ...] = ()
