"""What users install: a wheel with our package, its types and its entry points, and nothing else."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import prefect_globus

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """The links at the top of the repository are for readers."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"prefect_globus"}
    packed = {name for name in names if name.startswith("prefect_globus/")}
    source = ROOT / "src"
    assert packed == {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert "prefect_globus/py.typed" in packed


def test_the_wheel_has_its_entry_points(wheel: Path) -> None:
    """Prefect finds our blocks, and the shell our command."""
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    text = archive.read(name).decode()
    assert "[prefect.collections]\nprefect_globus = prefect_globus.blocks" in text
    assert "prefect-globus = prefect_globus.cli.main:main" in text


def test_the_wheel_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """Its package is imported from there, not from the repository."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import prefect_globus, sys; sys.stdout.write(prefect_globus.resumable_transfer.name + prefect_globus.__file__)"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert answer.stdout == f"resumable-transfer{tmp_path}/prefect_globus/__init__.py"


def test_every_public_name_can_be_imported() -> None:
    """They are imported when they are first used, so a wrong one would be seen late."""
    for name in prefect_globus.__all__:
        assert getattr(prefect_globus, name) is not None
    assert dir(prefect_globus) == prefect_globus.__all__
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = prefect_globus.no_such_name


def test_the_emulator_does_not_import_prefect() -> None:
    """It starts in a fraction of the time that Prefect takes to import."""
    program = "import sys, prefect_globus.emulator.command; sys.exit('prefect' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("link", ["flows", "tasks", "blocks", "deployments"])
def test_the_links_lead_to_the_packages(link: str) -> None:
    """The top level of the repository shows the house."""
    assert (ROOT / link).is_symlink()
    assert (ROOT / link).resolve() == Path(importlib.import_module(f"prefect_globus.{link}").__path__[0])
