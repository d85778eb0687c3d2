"""Preflight: every fault that can be known before a transfer is found, and all of them at once."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from prefect_globus import (
    Finding,
    GlobusCredentials,
    Location,
    Preflight,
    SqlCheckpointStore,
    TransferOptions,
    TransferStatus,
    log_in,
    preflight_transfer,
)
from prefect_globus.blocks.sql_engine import dispose_engines
from prefect_globus.emulator import Answer, Drop, RequestFault
from prefect_globus.emulator.process import Emulator, running_emulator
from prefect_globus.flows.preflight import preflight
from prefect_globus.transfers.errors import PreflightFailedError
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.preflight import Level
from support.person import copy_code

PAGE = Path(__file__).parents[2] / "docs/preflight.md"
FOLDERS = ("source", "destination", "secret")
GCP = {"entity_type": "GCP_mapped_collection", "display_name": "laptop", "high_assurance": False}


@dataclass
class Desk:
    """An emulator with a source, a destination, and a collection that asks for a consent of its own."""

    emulator: Emulator
    root: Path
    folder: Path

    def at(self, name: str, path: str = "/") -> str:
        return f"{self.emulator.collections[name]}:{path}"

    @property
    def credentials(self) -> GlobusCredentials:
        url = self.emulator.url
        return GlobusCredentials(
            client_id=str(uuid.uuid4()), client_secret=SecretStr("x"), transfer_url=url, auth_url=url, timers_url=url
        )

    @property
    def store(self) -> SqlCheckpointStore:
        return SqlCheckpointStore(url=f"sqlite:///{self.folder / 'checkpoints.db'}")

    def look(self, source: str | None = None, destination: str | None = None, **how: Any) -> Preflight:
        given = {"credentials": self.credentials, "checkpoints": self.store} | how
        return preflight_transfer(source or self.at("source"), destination or self.at("destination"), **given)


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    root = tmp_path_factory.mktemp("globus")
    for name in FOLDERS:
        (root / name).mkdir()
    (root / "source/file").write_text("content")
    with running_emulator({name: root / name for name in FOLDERS}, data_access=("secret",)) as running:
        yield running, root


@pytest.fixture
def desk(globus: tuple[Emulator, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    emulator, root = globus
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    yield Desk(emulator, root, tmp_path)
    emulator.clear()
    dispose_engines()


def of(found: Preflight, check: str) -> list[Finding]:
    return [each for each in found.findings if each.check == check]


def test_nothing_is_in_the_way(desk: Desk) -> None:
    """What is not known beforehand is said to be unknown; nothing is left behind, and no transfer is on record."""
    found = desk.look(transfer_id="new")
    assert found.ok
    levels = {(each.check, each.level) for each in found.findings}
    known = {(check, Level.OK) for check in ("checkpoints", "login", "collection", "source")}
    assert levels == known | {("destination", Level.UNKNOWN), ("quota", Level.UNKNOWN)}
    assert list((desk.root / "destination").iterdir()) == []
    assert list(desk.store.list_transfers()) == []
    assert desk.look(transfer_id="new", options={"fail_on_quota_errors": True}).findings[-1].mend is None


def test_all_that_is_wrong_is_found_at_once(desk: Desk) -> None:
    """Not only the first."""
    gone = f"{uuid.uuid4()}:/x"
    options = {"batch_size": 0, "no_such_option": 1, "deadline_seconds": "soon"}
    found = desk.look(desk.at("source", "/no"), gone, options=options, transfer_id="..")
    assert not found.ok
    assert sorted(each.check for each in found.problems) == [
        "collection",
        *("options", "options", "options"),
        *("source", "transfer id"),
    ]
    assert [each.level for each in of(found, "destination")] == [Level.UNKNOWN]
    spelled = desk.look("nonsense", "x:/y", options={"min_size": 2, "max_size": 1})
    assert [each.check for each in spelled.problems] == ["source", "destination", "options"]
    assert spelled.problems[-1].words.startswith("min_size is larger")
    inside = desk.look(desk.at("source", "/a"), desk.at("source", "/a/b"))
    assert any("lies inside the source" in each.words for each in of(inside, "destination"))


def _stat(status: int, code: str) -> RequestFault:
    return RequestFault(Answer(status, code), path="*/stat", collection="source")


@pytest.mark.parametrize(
    ("fault", "check", "mend"),
    [
        (_stat(502, "ExternalError.DirListingFailed.GCDisconnected"), "source", "Wait until the collection"),
        (_stat(403, "EndpointPermissionDenied"), "source", "Check the permissions"),
        (_stat(409, "OperationPaused"), "source", "Wait until its administrator"),
        (_stat(403, "AuthPolicyFailed"), "consent", "prefect-globus login"),
        (RequestFault(Answer(403, "EndpointPermissionDenied"), path="*/ls"), "source", "Check the permissions"),
        (RequestFault(Answer(404, "EndpointDeleted"), path="*/v0.10/endpoint/*"), "collection", "Check the UUID"),
        (RequestFault(Answer(503, "ServiceUnavailable"), path="*/v0.10/endpoint/*"), "collection", "Wait until"),
        (RequestFault(Answer(401, "AuthenticationFailed"), path="/v0.10/*"), "login", "Log in again"),
        (RequestFault(Answer(400, "invalid_client"), path="/v2/oauth2/token"), "login", "Log in again"),
        (RequestFault(Drop(), path="/v0.10/*"), "login", "Check the network"),
        (
            RequestFault(Answer(200, fields=GCP | {"gcp_connected": False}), path="*/v0.10/endpoint/*"),
            "collection",
            "Start Globus Connect Personal",
        ),
        (
            RequestFault(Answer(200, fields=GCP | {"gcp_paused": True}), path="*/v0.10/endpoint/*"),
            "collection",
            "End the pause",
        ),
    ],
    ids=lambda value: str(value.effect) if isinstance(value, RequestFault) else "",
)
def test_what_globus_refuses_is_a_finding(desk: Desk, fault: RequestFault, check: str, mend: str) -> None:
    """Each with what a person can do about it, and no error."""
    with desk.emulator.fault(fault):
        found = desk.look()
    assert {each.check for each in found.problems} == {check}
    assert all(each.mend and mend in each.mend for each in found.problems)


def test_whether_the_login_may_write_can_be_found_out(desk: Desk) -> None:
    """By the folder that the transfer would make, or by one that is deleted again."""
    folder = desk.root / "destination"
    deep = desk.at("destination", "/a/b/c")
    (unproved,) = of(desk.look(destination=deep), "destination")
    assert f"will be made in {desk.at('destination')};" in unproved.words
    (made,) = of(desk.look(destination=deep, create=True), "destination")
    assert (made.level, (folder / "a/b/c").is_dir()) == (Level.OK, True)
    (probed,) = of(desk.look(destination=f"{deep}/d/e", probe_writes=True), "destination")
    assert (probed.level, probed.words) == (Level.OK, f"the login may write in {deep}")
    assert list((folder / "a/b/c").iterdir()) == []
    refused = RequestFault(Answer(403, "ExternalError.MkdirFailed.PermissionDenied"), path="*/mkdir")
    with desk.emulator.fault(refused):
        for how in ({"create": True}, {"probe_writes": True}):
            (problem,) = desk.look(destination=f"{deep}/d", **how).problems
            assert problem.check == "destination"
    with desk.emulator.fault(RequestFault(Answer(403, "PermissionDenied"), path="/v0.10/delete")):
        (left,) = of(desk.look(destination=deep, probe_writes=True), "destination")
    (probe,) = (folder / "a/b/c").iterdir()
    assert (left.level, left.mend) == (Level.WARNING, f"Delete {deep}/{probe.name}")
    probe.rmdir()


def test_files_and_folders_do_not_mix(desk: Desk) -> None:
    """And a folder with symbolic links says what becomes of them."""
    (desk.root / "destination/plain").write_text("")
    (on_file,) = desk.look(destination=desk.at("destination", "/plain")).problems
    assert on_file.mend == "Name a directory, or a path that does not exist yet"
    (on_folder,) = desk.look(desk.at("source", "/file")).problems
    assert on_folder.mend == f"Name the file, as in {desk.at('destination', '/file')}"
    (desk.root / "source/links").mkdir()
    (desk.root / "source/links/one").symlink_to("../file")
    (links,) = of(desk.look(desk.at("source", "/links")), "symlinks")
    assert links.words.startswith("1 of the first 1 entries")
    assert of(desk.look(desk.at("source", "/links"), options={"symlinks": "follow"}), "symlinks") == []


def test_a_client_gives_its_consent_itself_and_a_user_is_told_how(desk: Desk) -> None:
    """Before anything has moved."""
    assert desk.look(destination=desk.at("secret")).ok
    file = desk.folder / "tokens.db"
    user = log_in(lambda _, address: copy_code(address), client_id=str(uuid.uuid4()), token_file=file)
    (problem,) = desk.look(destination=desk.at("secret"), credentials=user).problems
    collection = desk.emulator.collections["secret"]
    assert (problem.check, problem.mend) == (
        "consent",
        f"Give it with: prefect-globus login --collection {collection}",
    )


def _ends(options: dict[str, Any]) -> Callable[[Desk], Preflight]:
    def look(desk: Desk) -> Preflight:
        file = desk.folder / "tokens.db"
        user = log_in(lambda _, address: copy_code(address), client_id=str(uuid.uuid4()), token_file=file, renews=False)
        return desk.look(credentials=user, options=options)

    return look


def _bare(desk: Desk) -> Preflight:
    token = desk.credentials.get_transfer_client().authorizer
    assert token is not None
    header = str(token.get_authorization_header()).removeprefix("Bearer ")
    return desk.look(credentials=GlobusCredentials(access_token=SecretStr(header)))


@pytest.mark.parametrize(
    ("look", "level", "words"),
    [
        (lambda desk: desk.look(credentials=None), Level.PROBLEM, "prefect-globus login"),
        (lambda desk: desk.look(credentials="no-such-block"), Level.PROBLEM, "no-such-block"),
        (_bare, Level.WARNING, "cannot be renewed"),
        (_ends({}), Level.WARNING, "a transfer that takes longer is PAUSED then"),
        (_ends({"deadline_seconds": 60}), Level.OK, "after the deadline"),
        (_ends({"deadline_seconds": 300_000}), Level.WARNING, "before the deadline"),
    ],
    ids=["none", "no-block", "access-token", "ends", "long-enough", "too-short"],
)
@pytest.mark.usefixtures("prefect")
def test_how_long_the_login_lasts_is_known(
    desk: Desk, look: Callable[[Desk], Preflight], level: Level, words: str
) -> None:
    """As far as the login itself knows."""
    found = look(desk)
    (login,) = of(found, "login")
    assert login.level is level
    assert words in login.words
    assert bool(of(found, "source")) is (level is not Level.PROBLEM)


_texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
_places = _texts | _texts.map(lambda path: f"{uuid.UUID(int=1)}:/{path}")
_values = st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.lists(_texts, max_size=2)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    source=_places,
    destination=_places,
    options=st.none() | st.dictionaries(st.sampled_from(sorted(TransferOptions.model_fields)) | _texts, _values),
    transfer_id=st.none() | _texts,
)
def test_whatever_is_given_is_no_error(
    desk: Desk, source: str, destination: str, options: dict[str, Any] | None, transfer_id: str | None
) -> None:
    """By fuzz; here nobody is logged in, which is found each time, too."""
    found = desk.look(source, destination, options=options, transfer_id=transfer_id, credentials=None)
    assert "login" in [each.check for each in found.problems]
    assert Preflight.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (TransferStatus.FAILED, Level.OK, "would be resumed"),
        (TransferStatus.COMPLETED, Level.WARNING, "nothing to do"),
        (TransferStatus.CANCELED, Level.PROBLEM, "was canceled"),
    ],
)
def test_what_the_checkpoint_has_under_the_id_is_told(
    desk: Desk, status: TransferStatus, level: Level, words: str
) -> None:
    """It may be the same transfer, or another one."""
    places = {"source": Location.parse(desk.at("source")), "destination": Location.parse(desk.at("destination"))}
    desk.store.create_transfer(Transfer(id="mine", status=status, **places))
    (finding,) = of(desk.look(transfer_id="mine"), "transfer id")
    assert finding.level is level
    assert words in finding.words
    (other,) = desk.look(destination=desk.at("destination", "/other"), transfer_id="mine").problems
    assert "already exists with destination" in other.words


def test_a_checkpoint_store_that_is_down_is_a_finding(desk: Desk) -> None:
    """And so is one that is not there."""
    down = SqlCheckpointStore(url="postgresql://nobody@127.0.0.1:9/nothing")
    (problem,) = desk.look(checkpoints=down).problems
    assert problem.check == "checkpoints"


@pytest.fixture
def prefect(prefect_api: str) -> Iterator[None]:
    """Prefect's API, for this process."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.mark.usefixtures("prefect")
def test_as_a_flow_it_fails_with_what_is_to_be_mended(desk: Desk) -> None:
    """And returns the findings when there is no problem."""
    places = {"destination": desk.at("destination"), "credentials": desk.credentials, "checkpoints": desk.store}
    assert preflight(desk.at("source"), **places).ok
    with pytest.raises(PreflightFailedError, match=r"does not exist\. Check the path"):
        preflight(desk.at("source", "/no"), **places)


def test_the_python_of_the_page_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints what is in the way: between collections that are not there, and without a login, much."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.setenv("PREFECT_GLOBUS_DATABASE_URL", f"sqlite:///{desk.folder / 'checkpoints.db'}")
    printed: list[tuple[str, ...]] = []
    exec(code, {"print": lambda *words: printed.append(words)})
    assert [words[0] for words in printed] == ["login"]
