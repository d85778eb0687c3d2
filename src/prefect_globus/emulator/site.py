"""What one emulator serves: its collections, its state, and its engine. Routes are functions of this."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from prefect_globus.emulator.auth.clients import ClientStore
from prefect_globus.emulator.auth.consents import ConsentStore
from prefect_globus.emulator.auth.credentials import TaskCredentials
from prefect_globus.emulator.auth.identities import IdentityStore
from prefect_globus.emulator.auth.logins import LoginStore
from prefect_globus.emulator.auth.openid import SigningKeyStore
from prefect_globus.emulator.auth.tokens import ACCESS_SECONDS, TokenStore
from prefect_globus.emulator.collections.model import CollectionSpec
from prefect_globus.emulator.collections.opening import open_storage
from prefect_globus.emulator.collections.storage import Storage
from prefect_globus.emulator.database import Database
from prefect_globus.emulator.errors import EndpointNotFound
from prefect_globus.emulator.injection.store import FaultStore
from prefect_globus.emulator.injection.tasks import TaskFaults
from prefect_globus.emulator.limits import Network, RequestMeter
from prefect_globus.emulator.tasks.engine import Engine
from prefect_globus.emulator.tasks.model import Policy
from prefect_globus.emulator.tasks.pausing import PauseRules
from prefect_globus.emulator.tasks.store import TaskStore
from prefect_globus.emulator.timers.scheduler import Scheduler
from prefect_globus.emulator.timers.store import TimerStore
from prefect_globus.emulator.timers.submitter import Submitter

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Site:
    """The composition of one emulator.

    `client` is the only client that gets a token, or None for any; `token_lifetime` is that of access tokens, in
    seconds; `requests` counts what the services were asked for since the start, by method and path.
    """

    database: Database
    tokens: TokenStore
    consents: ConsentStore
    identities: IdentityStore
    clients: ClientStore
    logins: LoginStore
    signing_keys: SigningKeyStore
    token_lifetime: int
    tasks: TaskStore
    pause_rules: PauseRules
    engine: Engine
    timers: TimerStore
    scheduler: Scheduler
    collections: dict[str, CollectionSpec]
    folders: dict[str, Storage]
    policy: Policy
    client: tuple[str, str] | None
    network: Network
    meter: RequestMeter
    faults: FaultStore
    requests: Counter[str]

    @classmethod
    def of(
        cls,
        database: Database,
        collections: Sequence[CollectionSpec],
        policy: Policy,
        client: tuple[str, str] | None = None,
        network: Network = Network(),  # noqa: B008 -- it is frozen
        token_lifetime: int = ACCESS_SECONDS,
    ) -> Self:
        """Put an emulator together; its engine is not started yet."""
        tasks = TaskStore(database)
        tokens = TokenStore(database)
        consents = ConsentStore(database, tokens)
        folders = {one.uuid: open_storage(one) for one in collections}
        specs = {one.uuid: one for one in collections}
        pause_rules = PauseRules(database)
        credentials = TaskCredentials(consents, specs)
        asked = credentials if credentials.may_be_lost else None
        faults = FaultStore(database)
        engine = Engine(tasks, folders, policy, pause_rules, asked, TaskFaults(faults, folders, specs))
        timers = TimerStore(database, policy)
        submitter = Submitter(tasks, engine, consents, specs)
        return cls(
            database=database,
            tokens=tokens,
            consents=consents,
            identities=IdentityStore(database),
            clients=ClientStore(database),
            logins=LoginStore(database),
            signing_keys=SigningKeyStore(database),
            token_lifetime=token_lifetime,
            tasks=tasks,
            pause_rules=pause_rules,
            engine=engine,
            timers=timers,
            scheduler=Scheduler(timers, submitter, policy),
            collections=specs,
            folders=folders,
            policy=policy,
            client=client,
            network=network,
            meter=RequestMeter(network.requests_per_second),
            faults=faults,
            requests=Counter(),
        )

    def collection(self, uuid: str | None, asked: object) -> CollectionSpec:
        """Return a collection. Raises EndpointNotFound, naming what was asked for."""
        if uuid is None or uuid not in self.collections:
            raise EndpointNotFound(asked)
        return self.collections[uuid]

    @property
    def names(self) -> dict[str, str]:
        """Display names of the collections, by UUID."""
        return {one.uuid: one.name for one in self.collections.values()}
