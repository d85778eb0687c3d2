"""The login of a user in a saved block: what others have put there is found, and what is renewed is put back."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import globus_sdk
from prefect.blocks.core import Block
from pydantic import SecretStr

from prefect_globus.blocks.authorizers import AccessToken, ClientLogin, token_of

_log = logging.getLogger(__name__)


class SavedLogin(NamedTuple):
    """A login by a refresh token that is one field of a saved block.

    Args:
        login: as the block had it when it was loaded.
        block: the block, as ``type-slug/name``.
        field: which of its fields has the refresh token.
    """

    login: ClientLogin
    block: str
    field: str

    def __repr__(self) -> str:
        return f"SavedLogin({self.login!r}, {self.block!r}, {self.field!r})"

    @property
    def acts_for_itself(self) -> bool:
        """See `prefect_globus.blocks.authorizers.Login`: no, a user has to consent."""
        return False

    def token(self, scope: str, resource_server: str, refused: str) -> AccessToken:  # noqa: ARG002 - as `Login` has it
        """See `prefect_globus.blocks.authorizers.Login`.

        A refresh token that is refused may have been replaced in the block, by another process or by a new login.
        """
        login = _newest.get(self, self.login)
        try:
            tokens = login.ask(scope)
        except globus_sdk.AuthAPIError:
            saved = self._saved()
            if saved is None or saved == login:
                raise
            login = _newest[self] = saved
            tokens = login.ask(scope)
        token = token_of(tokens, resource_server)
        renewed = tokens.by_resource_server[resource_server].get("refresh_token")
        if renewed and renewed != login.refresh_token:
            _newest[self] = login._replace(refresh_token=renewed)
            self._save(renewed)
        return token

    def _load(self) -> Any:  # noqa: ANN401 - a block, which imports this module
        return Block.load(self.block, _sync=True)  # type: ignore[call-arg] # Prefect's own switch for its sync form

    def _saved(self) -> ClientLogin | None:
        """The login as the block has it now; None when it cannot be loaded, or has none any more."""
        try:
            block = self._load()
        except Exception:  # noqa: BLE001 - whatever keeps Prefect from it; what Globus has said is told then
            return None
        secret: SecretStr | None = getattr(block, self.field)
        if secret is None or block.client_id is None:
            return None
        return self.login._replace(client_id=block.client_id, refresh_token=secret.get_secret_value())

    def _save(self, refresh_token: str) -> None:
        try:
            block = self._load()
            setattr(block, self.field, SecretStr(refresh_token))
            block.save(self.block.partition("/")[2], overwrite=True, _sync=True)
        except Exception as error:  # noqa: BLE001 - this process has it, and goes on
            _log.warning("Block %s could not be given its new refresh token: %s", self.block, type(error).__name__)


_newest: dict[SavedLogin, ClientLogin] = {}
