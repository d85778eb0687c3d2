"""What a login asks for: the scope of each service, with the consents that it needs for the data of collections."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from globus_sdk.scopes import GCSCollectionScopes, Scope, TimersScopes, TransferScopes


def transfer_scope(collections: Iterable[UUID | str] = ()) -> Scope:
    """The scope of Globus Transfer, ``transfer:all[*data_access ...]``.

    Args:
        collections: those whose data it is to reach and that use data_access, as `GlobusService.uses_data_access`
            tells. For others Globus Auth does not know such a scope.
    """
    data_access = [GCSCollectionScopes(str(each)).data_access for each in dict.fromkeys(collections)]
    # Optional: the consent for a collection can be taken back without that for Transfer as a whole.
    return TransferScopes.all.with_dependencies([scope.with_optional(True) for scope in data_access])


def timers_scope(collections: Iterable[UUID | str] = ()) -> Scope:
    """The scope of Globus Timers, ``timer[transfer:all[*data_access ...]]``: Timers acts through Transfer.

    Args:
        collections: as for `transfer_scope`.
    """
    below = tuple(collections)
    return TimersScopes.timer.with_dependency(transfer_scope(below)) if below else TimersScopes.timer
