"""A reader of the documentation: somebody with an emulator in the place of Globus, a real server, and some data."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_sqlalchemy import SqlAlchemyConnector

from prefect_globus import GlobusCredentials, SqlCheckpointStore
from prefect_globus.blocks.sql_engine import DATABASE_URL_VARIABLE, dispose_engines
from prefect_globus.emulator.process import Emulator, running_emulator
from support.page_runs import Reader
from support.pages import ROOT
from support.ports import free_port

# the collections of all pages: those of Globus' own tutorials
COLLECTIONS = {
    "source": "6c54cade-bde5-45c1-bdea-f4bd71dba2cc",
    "destination": "31ce9ba0-176d-45a5-add3-f37d233ba47d",
}
CLIENT_ID = "6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1"
AT_SOURCE = ("instrument/raw/0001.dat", "instrument/raw/scratch.tmp", "share/godata/file1.txt", "raw/0001.dat")
DATA = 42  # files in the folder ./data of every page


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    """The two collections of the pages, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("globus")
    for name in COLLECTIONS:
        (folder / name).mkdir()
    specs = [f"{name}@{uuid}={folder / name}" for name, uuid in COLLECTIONS.items()]
    with running_emulator(specs) as emulator:
        yield emulator, folder


@pytest.fixture
def reader(
    globus: tuple[Emulator, Path], prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reader]:
    """A reader with what the pages take for granted: some data, collections, blocks and a work pool."""
    emulator, collections = globus
    for name in COLLECTIONS:
        _empty(collections / name)
    for path in AT_SOURCE:
        _write(collections / "source" / path)
    for number in range(DATA):
        _write(tmp_path / f"data/raw/{number:04}.dat")
    database = f"sqlite:///{tmp_path / 'checkpoints.db'}"
    settings = {
        **emulator.environment(),
        "PREFECT_API_URL": prefect_api,
        "GLOBUS_CLIENT_ID": CLIENT_ID,
        "GLOBUS_CLIENT_SECRET": "any",
        DATABASE_URL_VARIABLE: database,
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "home/.local/share"),
        "COLUMNS": "80",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")
    handlers = {name: logging.getLogger(name).handlers[:] for name in (None, "prefect._internal")}
    reader = Reader(tmp_path, {"8911": str(free_port())})
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        _save_blocks(emulator, database, tmp_path)
        yield reader
        reader.end()
        _forget_deployments()
    for each, before in handlers.items():
        logging.getLogger(each).handlers = before
    dispose_engines()


def _save_blocks(emulator: Emulator, database: str, folder: Path) -> None:
    url = emulator.url
    credentials = GlobusCredentials(
        client_id=CLIENT_ID, client_secret="any", transfer_url=url, auth_url=url, timers_url=url
    )
    credentials.save("lab", overwrite=True)
    SqlCheckpointStore(url=database).save("team", overwrite=True)
    SqlAlchemyConnector(connection_info=f"sqlite:///{folder / 'warehouse.db'}").save("warehouse", overwrite=True)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="globus", type="process"), overwrite=True)


def _forget_deployments() -> None:
    """Have no worker of another page begin what this one has scheduled."""
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=["globus"]))
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments(work_pool_filter=pool):
            client.delete_deployment(deployment.id)


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{path.name}\n" * 100)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
