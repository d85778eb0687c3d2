"""The SDK's own canned documents as a yardstick: what Globus has answered with once, we answer with, key for key."""

from __future__ import annotations

import importlib
import pkgutil
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import globus_sdk
import globus_sdk.testing.data
import pytest
import requests
from globus_sdk.scopes import AuthScopes, GCSCollectionScopes, TimersScopes, TransferScopes
from globus_sdk.testing import RegisteredResponse, get_response_set

from prefect_globus.emulator.process import Emulator, running_emulator
from support.person import copy_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVICES = ("auth", "timer", "transfer")
PATIENCE = 30.0
IDENTITY = [AuthScopes.openid, AuthScopes.profile, AuthScopes.email, AuthScopes.view_identity_set]
NOBODY = str(uuid.UUID(int=1))

# What we do not serve, each with its reason. It is asked for all the same, and must be refused in JSON.
STREAMS = "tunnels and stream access points carry streams, not files"
BOOKMARKS = "bookmarks are a convenience of the web application"
DEVELOPERS = "registers applications, for which the emulator needs no registration"
NOT_SERVED = {
    "auth.create_child_client": DEVELOPERS,
    "auth.create_client": DEVELOPERS,
    "auth.create_client_credential": DEVELOPERS,
    "auth.create_policy": DEVELOPERS,
    "auth.create_project": DEVELOPERS,
    "auth.create_scope": DEVELOPERS,
    "auth.delete_client_credential": DEVELOPERS,
    "auth.delete_policy": DEVELOPERS,
    "auth.delete_project": DEVELOPERS,
    "auth.delete_scope": DEVELOPERS,
    "auth.get_client_credentials": DEVELOPERS,
    "auth.get_clients": DEVELOPERS,
    "auth.get_policies": DEVELOPERS,
    "auth.get_policy": DEVELOPERS,
    "auth.get_project": DEVELOPERS,
    "auth.get_projects": DEVELOPERS,
    "auth.get_scope": DEVELOPERS,
    "auth.get_scopes": DEVELOPERS,
    "auth.update_client": DEVELOPERS,
    "auth.update_policy": DEVELOPERS,
    "auth.update_project": DEVELOPERS,
    "auth.update_scope": DEVELOPERS,
    "transfer.create_tunnel": STREAMS,
    "transfer.delete_tunnel": STREAMS,
    "transfer.get_stream_access_point": STREAMS,
    "transfer.get_tunnel": STREAMS,
    "transfer.get_tunnel_events": STREAMS,
    "transfer.list_tunnels": STREAMS,
    "transfer.set_subscription_admin_verified": "a local collection has no subscription",
    "transfer.set_subscription_id": "a local collection has no subscription",
    "transfer.update_endpoint": "a collection is what the command line made it",
    "transfer.update_tunnel": STREAMS,
    "transfer.v2.create_bookmark": BOOKMARKS,
    "transfer.v2.create_tunnel": STREAMS,
    "transfer.v2.delete_bookmark": BOOKMARKS,
    "transfer.v2.delete_tunnel": STREAMS,
    "transfer.v2.get_bookmark": BOOKMARKS,
    "transfer.v2.get_stream_access_point": STREAMS,
    "transfer.v2.get_tunnel": STREAMS,
    "transfer.v2.get_tunnel_events": STREAMS,
    "transfer.v2.list_bookmarks": BOOKMARKS,
    "transfer.v2.list_stream_access_points": STREAMS,
    "transfer.v2.list_tunnels": STREAMS,
    "transfer.v2.update_bookmark": BOOKMARKS,
    "transfer.v2.update_tunnel": STREAMS,
}
CASES_NOT_SERVED = {
    ("auth.get_client", "fqdn"): DEVELOPERS,
    ("timer.create_timer", "flow_timer_success"): "there are no flows here",
    ("timer.get_job", "simple_500_error"): "a defect, which is not on offer",
}

# Fields that Globus answers with null where there is nothing to tell, each with where that is on record.
NULLABLE = {
    "completion_time": "contract section 4: null while a task is ACTIVE",
    "data": "null for a run of a timer that could not begin",
    "default_directory": "null in the SDK's canned endpoint",
    "description": "null unless somebody wrote one; CLI fixtures",
    "email": "null and not in the SDK's canned identities",
    "errors": "null for a run of a timer that has begun",
    "expire_time": "contract section 6: nothing expires any more",
    "gcp_connected": "null unless it is Globus Connect Personal, as the canned endpoint is not",
    "gcp_paused": "as gcp_connected",
    "last_ran_at": "null until a timer has run, as in the canned new timer",
    "name": "null and not in the SDK's canned identities",
    "next_marker": "contract section 4: null on the last page",
    "next_run": "null for a timer that will not run again",
    "organization": "null and not in the SDK's canned identities",
    "parent_client": "null unless a client is an instance of another",
    "project": "null for such an instance",
    "source_local_user": "null and not in the SDK's canned managed task",
}
# The SDK has put the whole answer into one more `client`; globus-cli reads it without.
WRAPPED = "auth.create_native_app_instance"


class Canned(NamedTuple):
    """One canned response of the SDK."""

    name: str
    case: str
    response: RegisteredResponse


def modules(package: str) -> Iterator[str]:
    """The names of the response sets of a service, as `get_response_set` wants them."""
    path = importlib.import_module(f"globus_sdk.testing.data.{package}").__path__
    for module in pkgutil.iter_modules(path):
        if module.ispkg:
            yield from modules(f"{package}.{module.name}")
        elif not module.name.startswith("_"):
            yield f"{package}.{module.name}"


def canned() -> Iterator[Canned]:
    for service in SERVICES:
        for name in modules(service):
            found = get_response_set(name)
            for case in found.cases():
                response = found.lookup(case)
                assert isinstance(response, RegisteredResponse)
                yield Canned(name, case, response)


CANNED = list(canned())


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """What is not in ours as it is in theirs: keys that are missing, and types that differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, value in theirs.items():
            if key not in ours:
                yield f"{where}.{key} is missing"
            else:
                yield from differences(ours[key], value, f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        for value in theirs if ours else []:
            yield from differences(ours[0], value, f"{where}[]")
    elif kind(ours) != kind(theirs) and not (None in (ours, theirs) and where.rpartition(".")[2] in NULLABLE):
        yield f"{where} is {kind(ours)}, not {kind(theirs)}"


def kind(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


@dataclass
class World:
    """Everything that a canned document may tell of."""

    emulator: Emulator
    root: Path
    client_id: str

    def __post_init__(self) -> None:
        self.login = globus_sdk.ConfidentialAppAuthClient(self.client_id, "secret", base_url=self.emulator.url)
        answer = self.login.oauth2_client_credentials_tokens([*IDENTITY, TransferScopes.all, TimersScopes.timer])
        self.tokens = {server: one["access_token"] for server, one in answer.by_resource_server.items()}
        url = self.emulator.url
        self.transfer = globus_sdk.TransferClient(base_url=url, authorizer=self.bearer("transfer.api.globus.org"))
        self.timers = globus_sdk.TimersClient(base_url=url, authorizer=self.bearer(TimersScopes.resource_server))
        self.auth = globus_sdk.AuthClient(base_url=url, authorizer=self.bearer("auth.globus.org"))
        self.source, self.destination, self.private = (
            self.emulator.collections[name] for name in ("source", "destination", "private")
        )

    def bearer(self, server: str) -> globus_sdk.AccessTokenAuthorizer:
        return globus_sdk.AccessTokenAuthorizer(self.tokens[server])

    def server(self, service: str) -> str:
        return {"timer": TimersScopes.resource_server}.get(service, f"{service}.globus.org").replace(
            "transfer.globus", "transfer.api.globus"
        )

    def data(self, path: str, source: str = "", **options: Any) -> globus_sdk.TransferData:
        data = globus_sdk.TransferData(source or self.source, self.destination, verify_checksum=True, **options)
        data.add_item(path, path)
        return data

    def ended_task(self) -> str:
        task = str(self.transfer.submit_transfer(self.data("/file"))["task_id"])
        self.until(lambda: self.transfer.get_task(task)["status"] == "SUCCEEDED")
        return task

    def timer(self, path: str = "/file") -> str:
        """A timer made as older clients make it, as all the canned ones are."""
        return str(self.timers.create_job(self.timer_job(path))["job_id"])

    def timer_job(self, path: str = "/file", source: str = "", **when: Any) -> globus_sdk.TimerJob:
        items = [{"source_path": path, "destination_path": path, "recursive": False}]
        body = {
            "label": "example timer",
            "skip_source_errors": False,
            "sync_level": 3,
            "verify_checksum": True,
            "source_endpoint_id": source or self.source,
            "destination_endpoint_id": self.destination,
            "transfer_items": items,
        }
        url = "https://actions.automate.globus.org/transfer/transfer/run"
        start = when.get("start", datetime.now(UTC))
        return globus_sdk.TimerJob(url, {"body": body}, start, 864_000, name="example timer")

    def user(self, *scopes: Any, refresh_tokens: bool = False) -> globus_sdk.OAuthTokenResponse:
        native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=self.emulator.url)
        native.oauth2_start_flow(list(scopes), refresh_tokens=refresh_tokens)
        return native.oauth2_exchange_code_for_tokens(copy_code(native.oauth2_get_authorize_url(), "anna"))

    def until(self, test: Callable[[], bool]) -> None:
        patience = time.monotonic() + PATIENCE
        while not test():
            assert time.monotonic() < patience, "Waited in vain"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    folders = {name: root / name for name in ("source", "destination", "private")}
    for folder in folders.values():
        folder.mkdir()
    (folders["source"] / "file").write_bytes(b"content")
    (folders["source"] / "link").symlink_to("/etc")
    with running_emulator(folders, time_scale=200.0, data_access=["private"]) as emulator:
        yield World(emulator, root, str(uuid.uuid4()))


ASK: dict[tuple[str, str], Callable[[World], Any]] = {}


def answers(name: str, case: str = "default") -> Callable[[Callable[[World], Any]], Callable[[World], Any]]:
    """Name the canned response that a function gets the live counterpart of."""

    def register(function: Callable[[World], Any]) -> Callable[[World], Any]:
        ASK[name, case] = function
        return function

    return register


def refused(call: Callable[[], Any]) -> Any:
    """The document of an error that a call must meet."""
    with pytest.raises(globus_sdk.GlobusAPIError) as caught:
        call()
    return caught.value.raw_json


ASK |= {
    ("transfer.cancel_task", "default"): lambda world: world.transfer.cancel_task(world.ended_task()).data,
    ("transfer.get_endpoint", "default"): lambda world: world.transfer.get_endpoint(world.source).data,
    ("transfer.get_submission_id", "default"): lambda world: world.transfer.get_submission_id().data,
    ("transfer.submit_transfer", "default"): lambda world: world.transfer.submit_transfer(world.data("/file")).data,
    ("transfer.submit_transfer", "failure"): lambda world: refused(
        lambda: world.transfer.submit_transfer(globus_sdk.TransferData(world.source, world.destination))
    ),
    ("transfer.operation_stat", "default"): lambda world: world.transfer.operation_stat(world.source, "/file").data,
    ("transfer.operation_stat", "not_found"): lambda world: refused(
        lambda: world.transfer.operation_stat(world.source, "/none")
    ),
    ("transfer.operation_stat", "permission_denied"): lambda world: refused(
        lambda: world.transfer.operation_stat(world.source, "/link/passwd")
    ),
    ("timer.pause_job", "default"): lambda world: world.timers.pause_job(world.timer()).data,
    ("timer.resume_job", "default"): lambda world: world.timers.resume_job(world.timer()).data,
    ("auth.get_identities", "default"): lambda world: world.auth.get_identities(ids=world.client_id).data,
    ("auth.get_identities", "empty"): lambda world: world.auth.get_identities(ids=NOBODY).data,
    ("auth.oauth2_client_credentials_tokens", "default"): lambda world: (
        world.login.oauth2_client_credentials_tokens(TransferScopes.all).data
    ),
    ("auth.oauth2_client_credentials_tokens", "openid"): lambda world: (
        world.login.oauth2_client_credentials_tokens(AuthScopes.openid).data
    ),
    ("auth.oauth2_exchange_code_for_tokens", "default"): lambda world: world.user(TransferScopes.all).data,
    ("auth.oauth2_exchange_code_for_tokens", "openid"): lambda world: world.user(AuthScopes.openid).data,
    ("auth.oauth2_revoke_token", "default"): lambda world: world.login.oauth2_revoke_token("unknown").data,
}


@answers("transfer.submit_delete")
def submit_delete(world: World) -> Any:
    data = globus_sdk.DeleteData(world.destination)
    data.add_item("/none")
    return world.transfer.submit_delete(data).data


@answers("transfer.operation_mkdir")
def operation_mkdir(world: World) -> Any:
    return world.transfer.operation_mkdir(world.source, f"/{uuid.uuid4()}").data


@answers("transfer.operation_rename")
def operation_rename(world: World) -> Any:
    name = f"/{uuid.uuid4()}"
    world.transfer.operation_mkdir(world.source, name)
    return world.transfer.operation_rename(world.source, name, f"{name}-new").data


@answers("transfer.task_list")
def task_list(world: World) -> Any:
    return world.transfer.task_list(filter=f"task_id:{world.ended_task()}").data


@answers("transfer.endpoint_manager_task_list")
def endpoint_manager_task_list(world: World) -> Any:
    return world.transfer.endpoint_manager_task_list(filter_task_id=world.ended_task()).data


@answers("transfer.endpoint_manager_task_successful_transfers")
def endpoint_manager_task_successful_transfers(world: World) -> Any:
    return world.transfer.endpoint_manager_task_successful_transfers(world.ended_task()).data


def running_timer(world: World) -> str:
    """A timer whose run is in progress, because its file is missing."""
    timer = world.timer(f"/{uuid.uuid4()}")
    world.until(lambda: any(one["data"] for one in world.timers.get_job(timer)["results"]["data"]))
    return timer


@answers("timer.get_job")
def get_job(world: World) -> Any:
    return world.timers.get_job(running_timer(world)).data


@answers("timer.list_jobs")
def list_jobs(world: World) -> Any:
    timer = running_timer(world)
    jobs = world.timers.list_jobs(query_params={"order": "submitted_at desc"}).data
    return {"jobs": [job for job in jobs["jobs"] if job["job_id"] == timer]}


@answers("timer.delete_job")
def delete_job(world: World) -> Any:
    return world.timers.delete_job(running_timer(world)).data


@answers("timer.update_job")
def update_job(world: World) -> Any:
    return world.timers.update_job(running_timer(world), {"name": "updated"}).data


@answers("timer.create_job")
def create_job(world: World) -> Any:
    return world.timers.create_job(world.timer_job(start=later())).data


@answers("timer.create_timer")
def create_timer(world: World) -> Any:
    end = {"condition": "iterations", "count": 2}
    schedule = globus_sdk.RecurringTimerSchedule(interval_seconds=604_800, start=later(), end=end)
    timer = globus_sdk.TransferTimer(name="Very Cool Timer", body=world.data("/file"), schedule=schedule)
    return world.timers.create_timer(timer).data


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=30)


@answers("timer.create_job", "validation_error")
def create_job_validation_error(world: World) -> Any:
    return refused(lambda: world.timers.post("/jobs/", data={"name": "example timer", "interval": 864_000}))


@answers("timer.get_job", "inactive_user")
def inactive_user(world: World) -> Any:
    timer = running_timer(world)
    world.timers.pause_job(timer)
    return world.timers.get_job(timer).data


@answers("timer.get_job", "inactive_gare")
def inactive_gare(world: World) -> Any:
    """A timer that has run once, then lost its consent."""
    timer = str(world.timers.create_job(world.timer_job(source=world.private))["job_id"])
    world.until(lambda: world.timers.get_job(timer)["status"] == "inactive")
    return world.timers.get_job(timer).data


@answers("auth.get_consents")
def get_consents(world: World) -> Any:
    scope = TransferScopes.all.with_dependency(GCSCollectionScopes(world.private).data_access)
    login = globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=world.emulator.url)
    answer = login.oauth2_client_credentials_tokens([scope, AuthScopes.manage_projects, *IDENTITY])
    token = globus_sdk.AccessTokenAuthorizer(answer.by_resource_server["auth.globus.org"]["access_token"])
    return globus_sdk.AuthClient(base_url=world.emulator.url, authorizer=token).get_consents(login.client_id).data


@answers("auth.get_identities", "multiple")
@answers("auth.get_identities", "globusid")
@answers("auth.get_identities", "sirosen")
def get_identities_of_a_user(world: World) -> Any:
    who = world.user(*IDENTITY).decode_id_token()["sub"]
    return world.auth.get_identities(ids=[who, world.client_id]).data


@answers("auth.get_identities", "unauthorized")
def get_identities_unauthorized(world: World) -> Any:
    stranger = globus_sdk.AuthClient(base_url=world.emulator.url)
    return refused(lambda: stranger.get_identities(ids=NOBODY))


@answers("auth.get_identity_providers")
@answers("auth.get_identity_providers", "globusid")
@answers("auth.get_identity_providers", "globus_staff")
def get_identity_providers(world: World) -> Any:
    return world.auth.get_identity_providers(domains="localhost").data


@answers("auth.create_native_app_instance", "name")
@answers("auth.create_native_app_instance", "template_id_str")
@answers("auth.create_native_app_instance", "template_id_uuid")
@answers("auth.create_native_app_instance")
def create_native_app_instance(world: World) -> Any:
    return (
        globus_sdk.NativeAppAuthClient(NOBODY, base_url=world.emulator.url)
        .create_native_app_instance(NOBODY, "An instance")
        .data
    )


def instance(world: World) -> globus_sdk.ConfidentialAppAuthClient:
    """An instance of a native client, as `globus login` makes one, that acts for itself."""
    made = create_native_app_instance(world)
    secret = made["included"]["client_credential"]["secret"]
    return globus_sdk.ConfidentialAppAuthClient(made["client"]["id"], secret, base_url=world.emulator.url)


@answers("auth.get_client")
def get_client(world: World) -> Any:
    own = instance(world)
    return own.get(f"/v2/api/clients/{own.client_id}").data


@answers("auth.delete_client")
def delete_client(world: World) -> Any:
    own = instance(world)
    return own.delete(f"/v2/api/clients/{own.client_id}").data


@answers("auth.oauth2_exchange_code_for_tokens", "invalid_grant")
def exchange_wrong_code(world: World) -> Any:
    world.login.oauth2_start_flow("http://localhost:1/back", [AuthScopes.openid])
    return refused(lambda: world.login.oauth2_exchange_code_for_tokens("wrong"))


@answers("auth.oauth2_get_dependent_tokens", "groups")
def get_dependent_tokens(world: World, *, refresh_tokens: bool = False) -> Any:
    transfer = globus_sdk.ConfidentialAppAuthClient("transfer.api.globus.org", "secret", base_url=world.emulator.url)
    groups = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"
    token = world.user(f"{TransferScopes.all}[{groups}]").by_resource_server["transfer.api.globus.org"]
    return transfer.oauth2_get_dependent_tokens(token["access_token"], refresh_tokens=refresh_tokens).data


@answers("auth.oauth2_get_dependent_tokens", "groups_with_refresh_token")
def get_dependent_refresh_tokens(world: World) -> Any:
    return get_dependent_tokens(world, refresh_tokens=True)


@answers("auth.oauth2_token_introspect")
def introspect(world: World) -> Any:
    return world.login.oauth2_token_introspect(world.user(*IDENTITY)["access_token"]).data


@answers("auth.userinfo", "unauthorized")
def userinfo_unauthorized(world: World) -> Any:
    return refused(globus_sdk.AuthClient(base_url=world.emulator.url).userinfo)


@answers("auth.userinfo", "forbidden")
def userinfo_forbidden(world: World) -> Any:
    token = world.login.oauth2_client_credentials_tokens(AuthScopes.email)["access_token"]
    client = globus_sdk.AuthClient(base_url=world.emulator.url, authorizer=globus_sdk.AccessTokenAuthorizer(token))
    return refused(client.userinfo)


@pytest.mark.parametrize(
    "one", [one for one in CANNED if (one.name, one.case) in ASK], ids=lambda one: f"{one.name}-{one.case}"
)
def test_documents(world: World, one: Canned) -> None:
    """Each canned document is served, with every key and the same types."""
    theirs = one.response.json["client"] if one.name == WRAPPED else one.response.json
    found = list(differences(ASK[one.name, one.case](world), theirs))
    assert not found, "\n".join(found)


def test_the_yardstick() -> None:
    """It finds what is missing and what is of another type, at any depth, and takes null only where that is named."""
    ours = {"count": True, "items": [{"name": None, "size": None}], "more": 1, "none": []}
    theirs = {"count": 1, "items": [{"name": "a", "size": 1, "type": "file"}], "none": [{"a": 1}], "total": 1}
    assert list(differences(ours, theirs)) == [
        ".count is bool, not number",
        ".items[].size is NoneType, not number",
        ".items[].type is missing",
        ".total is missing",
    ]


def test_every_canned_document_is_served_or_named() -> None:
    """One that a new SDK brings makes this fail: serve it, or say why not."""
    cases = {(one.name, one.case) for one in CANNED}
    refusals = {(name, case) for name, case in cases if name in NOT_SERVED} | set(CASES_NOT_SERVED)
    assert set(ASK) | refusals == cases
    assert not set(ASK) & refusals
    assert set(NOT_SERVED) <= {name for name, _ in cases}


@pytest.mark.parametrize(
    "one", [one for one in CANNED if one.name in NOT_SERVED and one.case == "default"], ids=lambda one: one.name
)
def test_what_is_not_served_is_refused(world: World, one: Canned) -> None:
    """With a 404 or 405 and an error document of the API, so that the SDK can tell what it was."""
    service = one.name.partition(".")[0]
    answer = requests.request(
        one.response.method,
        world.emulator.url + one.response.path,
        headers={"Authorization": f"Bearer {world.tokens[world.server(service)]}"},
        json={},
        timeout=PATIENCE,
    )
    assert answer.status_code in (400, 401, 404, 405), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)
