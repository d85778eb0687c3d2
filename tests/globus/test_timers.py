"""Real Globus Timers: what is made, with which consents, and what is refused."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from globus_sdk.testing import get_response_set
from pydantic import SecretStr

from prefect_globus import (
    GlobusCredentials,
    Location,
    Timer,
    TransferOptions,
    TransferSchedule,
    create_timer,
    delete_timer,
    list_timers,
    pause_timer,
    resume_timer,
    show_timer,
)
from prefect_globus.emulator import Answer, Drop, HalfBody, RequestFault
from prefect_globus.emulator.process import Emulator, running_emulator
from prefect_globus.flows.login import log_in
from prefect_globus.globus.timers import timer_body, timer_of
from prefect_globus.transfers.errors import (
    GlobusConsentError,
    GlobusError,
    GlobusNotFoundError,
    InvalidInputError,
    NotForTimersError,
    ScheduleOverError,
    SourceNotFoundError,
    TimerEndedError,
    TimerInDoubtError,
    TimerNotImportableError,
)
from prefect_globus.transfers.records import now
from prefect_globus.transfers.timers import deployment_name, importable
from support.person import copy_code

SECRET = ("secret-in", "secret-out")
DAILY = TransferSchedule.every(86_400)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose minutes are seconds, with two collections that need a consent and two that do not."""
    root = tmp_path_factory.mktemp("timers")
    folders = {name: root / name for name in ("in", "out", *SECRET)}
    for folder in folders.values():
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "file").write_text(f"of {folder.name}")
        (folder / "{odd} one").write_text("x")
    with running_emulator(folders, time_scale=60.0, data_access=SECRET) as emulator:
        yield emulator


@pytest.fixture
def login(globus: Emulator) -> GlobusCredentials:
    """A client that nobody has seen before."""
    return GlobusCredentials(client_id=str(uuid.uuid4()), client_secret=SecretStr("s"), **urls(globus))


def urls(globus: Emulator) -> dict[str, Any]:
    return dict.fromkeys(("transfer_url", "auth_url", "timers_url"), globus.url)


def at(globus: Emulator, collection: str, path: str = "/data") -> str:
    return f"{globus.collections[collection]}:{path}"


def until(timer: Timer, login: GlobusCredentials, condition: Callable[[Timer], object]) -> Timer:
    deadline = time.monotonic() + PATIENCE
    while not condition(timer):
        assert time.monotonic() < deadline, timer
        time.sleep(0.1)
        timer = show_timer(timer.id, login)
    return timer


def has_run(timer: Timer) -> bool:
    return any(run.status == "SUCCEEDED" for run in timer.results)


def test_what_globus_asks_for_at_the_first_run_is_given_before_it(globus: Emulator, login: GlobusCredentials) -> None:
    """Made as the tutorial does, without the consent, it is accepted and stops; made or resumed by us, it runs."""
    source, destination = (Location.parse(at(globus, name, "/data")) for name in SECRET)
    body = timer_body(source, destination.evolve(path="/blindly"), TransferOptions(), recursive=True)
    blind = globus_sdk.TransferTimer(name="blind", schedule=TransferSchedule.once().to_timer(), body=body)
    made = timer_of(login.get_timers_client().create_timer(blind)["timer"])
    stopped = until(made, login, lambda timer: timer.is_inactive)
    assert stopped.inactive is not None
    assert stopped.inactive.cause == "globus_auth_requirements"
    assert sorted(stopped.inactive.consents) == sorted(uuid.UUID(globus.collections[name]) for name in SECRET)
    assert stopped.results[0].task_id is None

    ours = create_timer(str(source), str(destination.evolve(path="/ours")), TransferSchedule.once(), credentials=login)
    assert until(ours, login, has_run).inactive is None
    resumed = resume_timer(stopped.id, login)
    assert until(resumed, login, has_run).inactive is None


@pytest.mark.parametrize("keeps", ["file", "block"])
def test_a_user_is_told_to_consent_before_a_timer_is_made(
    globus: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: str
) -> None:
    """Whether Globus Auth can be asked, as with a token file, or Transfer has to tell, as with tokens in a block."""
    for name, value in globus.environment().items():
        monkeypatch.setenv(name, value)
    client_id, who = str(uuid.uuid4()), f"{keeps}-{uuid.uuid4().hex}"

    def logged_in(*collections: str) -> GlobusCredentials:
        file = tmp_path / "tokens.db"
        made = log_in(lambda _, url: copy_code(url, who), client_id, collections, token_file=file)
        return made.model_copy(update=urls(globus)) if keeps == "file" else in_block(made, client_id, globus)

    ends = at(globus, "in"), at(globus, "secret-out", f"/{who}")
    login = logged_in()
    with pytest.raises(GlobusConsentError, match=f"login --collection {globus.collections['secret-out']}"):
        create_timer(*ends, TransferSchedule.once(), credentials=login)
    assert list_timers(login) == []
    login = logged_in(globus.collections["secret-out"])
    assert until(create_timer(*ends, TransferSchedule.once(), credentials=login), login, has_run)


def in_block(made: GlobusCredentials, client_id: str, globus: Emulator) -> GlobusCredentials:
    """The login of a token file as a block has it."""
    from prefect_globus.blocks.token_store import TokenStore  # noqa: PLC0415

    assert made.token_file is not None
    stored = TokenStore(made.token_file, globus.url).login()
    assert stored is not None
    tokens = {name: SecretStr(str(token.refresh_token)) for name, token in stored.tokens.items()}
    return GlobusCredentials(
        client_id=client_id,
        refresh_token=tokens["transfer.api.globus.org"],
        timers_refresh_token=tokens[globus_sdk.TimersClient.resource_server],
        **urls(globus),
    )


def test_a_life_of_a_timer(globus: Emulator, login: GlobusCredentials) -> None:
    """Made, paused, resumed, run to its end, and deleted; each time it says how it stands."""
    schedule = TransferSchedule.every(60, count=2)
    ends = at(globus, "in"), at(globus, "out", "/life")
    timer = create_timer(*ends, schedule, name="life", options=TransferOptions(label="of mine"), credentials=login)
    assert (timer.name, timer.status, timer.type) == ("life", "active", "transfer")
    assert timer.schedule is not None
    assert (timer.schedule.interval_seconds, timer.schedule.count) == (60, 2)
    until(timer, login, lambda timer: timer.runs == 1)
    paused = pause_timer(timer.id, login)
    assert (paused.status, paused.inactive and paused.inactive.cause) == ("inactive", "user")
    ended = until(resume_timer(str(timer.id), login), login, lambda timer: timer.has_ended)
    assert (ended.runs, ended.next_run) == (2, None)
    done = until(ended, login, lambda timer: all(run.status == "SUCCEEDED" for run in timer.results))
    labels = [login.get_transfer_client().get_task(str(run.task_id))["label"] for run in done.results]
    assert labels == ["of mine, run 2", "of mine, run 1"]
    for change in (pause_timer, resume_timer):
        with pytest.raises(TimerEndedError, match="has run 2 times"):
            change(timer.id, login)
    assert [each.id for each in list_timers(login)] == [timer.id]
    assert delete_timer(timer.id, login).id == timer.id
    assert list_timers(login) == []
    with pytest.raises(GlobusNotFoundError):
        show_timer(timer.id, login)


@pytest.mark.parametrize(
    ("effect", "made"), [(Drop(after=True), 1), (HalfBody(), 1), (Drop(), 0), (Answer(503, "Unavailable"), 0)]
)
def test_a_lost_answer_makes_no_second_timer(
    globus: Emulator, login: GlobusCredentials, effect: Any, made: int
) -> None:
    """Timers knows no submission id, so the request is not sent again: the Timer is looked for."""
    lost = RequestFault(effect, method="POST", path="/v2/timer", client=login.client_id)
    ends = at(globus, "in"), at(globus, "out", f"/{uuid.uuid4()}")
    with globus.fault(lost):
        if made:
            timer = create_timer(*ends, DAILY, credentials=login)
            assert [timer.id] == [each.id for each in list_timers(login)]
        else:
            with pytest.raises(GlobusError):
                create_timer(*ends, DAILY, credentials=login)
            assert list_timers(login) == []


def test_what_nobody_can_know_is_said(globus: Emulator, login: GlobusCredentials) -> None:
    """The answer is lost, and then the list cannot be had either."""
    lost = RequestFault(Drop(after=True), method="POST", path="/v2/timer", client=login.client_id)
    down = RequestFault(Answer(502, "BadGateway"), path="/jobs/", after=1, client=login.client_id)
    with globus.fault(lost), globus.fault(down), pytest.raises(TimerInDoubtError, match="timers list"):
        create_timer(at(globus, "in"), at(globus, "out", "/doubt"), DAILY, name="doubt", credentials=login)
    assert [each.name for each in list_timers(login)] == ["doubt"]


OPTIONS = [
    TransferOptions(),
    TransferOptions(sync_level="mtime", preserve_timestamp=True, verify_checksum=False, label="a label"),
    TransferOptions(encrypt_data=True, skip_source_errors=True, fail_on_quota_errors=True, exclude=("*.tmp", "[!a]?")),
    TransferOptions(delete_destination_extra=True, sync_level="checksum"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
@pytest.mark.parametrize("path", ["/data", "/{odd} one"], ids=["directory", "file"])
def test_the_options_of_a_timer_are_those_of_a_transfer(
    globus: Emulator, login: GlobusCredentials, options: TransferOptions, path: str
) -> None:
    """What is given to Globus comes back as it was: the same locations, the same options."""
    if path != "/data":
        options = options.evolve(exclude=(), delete_destination_extra=False)
    ends = at(globus, "in", path), at(globus, "out", f"/back-{uuid.uuid4()}")
    timer = create_timer(*ends, DAILY, options=options, credentials=login)
    ((source, destination, found),) = importable(show_timer(timer.id, login))
    assert (str(source), str(destination)) == ends
    assert found.differences(options) == []
    assert timer.transfer is not None
    assert timer.transfer.items[0].recursive is (path == "/data")
    assert timer.schedule is not None
    assert timer.schedule.to_timer() == DAILY.beginning(timer.schedule.first or now()).to_timer()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"batch_size": 10}, "without it"),
        ({"retry_limit": 3}, "without it"),
        ({"include": ("*.nc",)}, "by the names of what is left out"),
        ({"min_size": 5}, "by the names of what is left out"),
        ({"symlinks": "follow"}, "symbolic links"),
        ({"idempotency": "mtime"}, "sync_level"),
        ({"mode": "incremental"}, "sync_level"),
        ({"after": "delete_source"}, "deletes nothing"),
        ({"deadline_seconds": 60}, "one moment"),
        ({"exclude": ("raw/*",)}, "never with paths"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_timer_cannot_have_is_refused(
    globus: Emulator, login: GlobusCredentials, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotForTimersError, match=reason) as caught:
        create_timer(at(globus, "in"), at(globus, "out"), DAILY, options=TransferOptions(**given), credentials=login)
    assert next(iter(given)) in str(caught.value)
    assert "schedule create" in str(caught.value)


def test_what_would_not_run_is_refused_before_anything_is_made(globus: Emulator, login: GlobusCredentials) -> None:
    """Locations, their kinds, and times; options that are for a directory."""
    source, destination = at(globus, "in"), at(globus, "out", "/new")
    minute_ago = now() - timedelta(minutes=3)
    cases: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (SourceNotFoundError, "does not exist", (at(globus, "in", "/none"), destination, DAILY), {}),
        (InvalidInputError, "inside the source", (source, at(globus, "in", "/data/below"), DAILY), {}),
        (InvalidInputError, "is a file", (source, at(globus, "out", "/data/file"), DAILY), {}),
        (GlobusNotFoundError, "does not know", (source, f"{uuid.uuid4()}:/new", DAILY), {}),
        (InvalidInputError, "60 seconds", (source, destination, TransferSchedule.every(59)), {}),
        (ScheduleOverError, "over", (source, destination, TransferSchedule.once(minute_ago)), {}),
        (
            NotForTimersError,
            "one file",
            (f"{source}/file", destination, DAILY),
            {"options": TransferOptions(exclude=("a",))},
        ),
    ]
    for kind, words, arguments, options in cases:
        with pytest.raises(kind, match=words):
            create_timer(*arguments, credentials=login, **options)
    assert list_timers(login) == []


def document(**changes: Any) -> dict[str, Any]:
    """A Timer as globus-sdk's own example has it, with another transfer."""
    example = get_response_set("timer.create_timer").lookup("default").json["timer"]
    return example | {"body": example["body"] | changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"filter_rules": [{"method": "include", "name": "*.nc"}]}, "includes '\\*.nc'"),
        ({"filter_rules": [{"method": "exclude", "name": "a", "type": "file"}]}, "of type file"),
        ({"recursive_symlinks": "keep"}, "recursive_symlinks"),
        ({"sync_level": 4}, "sync_level 4"),
        ({"source_local_user": "anna"}, "source_local_user"),
        ({"deadline": "2030-01-01T00:00:00Z"}, "deadline"),
        ({"delete_destination_extra": True, "skip_source_errors": True}, "delete_destination_extra"),
        ({"DATA": [{"source_path": "/a", "destination_path": "/b", "external_checksum": "0f"}]}, "external_checksum"),
        ({"DATA": [{"source_path": "a/b", "destination_path": "/b"}]}, "relative"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_what_no_transfer_of_ours_does_is_not_imported(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TimerNotImportableError, match=reason):
        importable(timer_of(document(**changes)))


def test_the_documents_of_globus_are_read() -> None:
    """Those that globus-sdk has as examples, of both versions of Timers, and of Timers that run something else."""
    jobs = get_response_set("timer.get_job")
    older, user, gare = (timer_of(jobs.lookup(case).json) for case in ("default", "inactive_user", "inactive_gare"))
    assert older.schedule is not None
    assert older.schedule.in_words() == "every 10 days from 2022-04-01 19:30 UTC"
    assert (older.runs, older.results[0].status, str(older.results[0].task_id)[:8]) == (1, "ACTIVE", "22f0148c")
    ((source, destination, options),) = importable(older)
    assert (source.path, destination.path) == ("/share/godata/file1.txt", "/~/file1.txt")
    assert (options.sync_level, options.skip_source_errors, options.verify_checksum) == ("checksum", True, True)
    assert (user.inactive and user.inactive.cause, gare.inactive and len(gare.inactive.consents)) == ("user", 1)
    flow = timer_of(get_response_set("timer.create_timer").lookup("flow_timer_success").json["timer"])
    assert (flow.type, flow.transfer) == ("flow", None)
    with pytest.raises(TimerNotImportableError, match="its type is flow"):
        importable(flow)
    newer = timer_of(document())
    assert newer.schedule is not None
    assert newer.schedule.count == 2
    assert importable(newer)[0][2].skip_source_errors is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Very Cool Timer", "Very-Cool-Timer"), ("a/b: {c}..d", "a-b-c-.d"), ("", "timer-"), ("...", "timer-")],
)
def test_the_name_of_a_timer_becomes_one_of_a_deployment(name: str, expected: str) -> None:
    assert deployment_name(timer_of(document() | {"name": name})).startswith(expected)
