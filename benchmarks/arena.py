"""Where contestants meet: one Prefect server for all, and for each run an emulator and a checkpoint of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Timer
from typing import IO, Any

from prefect_globus.emulator.process import Emulator, running_emulator

HERE = Path(__file__).parent
# the same in each run: a checkpoint can go on at another emulator
SOURCE, DESTINATION = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NOTHING = "synthetic:files=0,dirs=0"  # swallows what is moved to it
BARE, FLOW = "bare_script.py", "flow_script.py"
PATIENCE_SECONDS = 3 * 3600
TICKS = os.sysconf("SC_CLK_TCK")


class ContestantError(RuntimeError):
    """A contestant failed; the message is the last that it said."""


@dataclass(frozen=True)
class Run:
    """What one run of a contestant took.

    Attributes:
        script: the contestant.
        seconds: of its work; imports are not counted.
        cpu: seconds of CPU of its work.
        process: seconds of the whole process.
        memory: MiB, the peak of the whole process.
        service: seconds of CPU that the emulator took for it.
        requests: made of Globus, by kind.
        first_task: seconds until Globus accepted the first task that is new.
        before_first: requests until then, listings apart.
        busiest: requests a second in the ten seconds that had the most.
        refused: requests that were answered with 429.
        submitted: items in what was submitted.
        facts: what else the contestant says.
    """

    script: str
    seconds: float
    cpu: float
    process: float
    memory: float
    service: float
    requests: Mapping[str, int]
    first_task: float | None
    before_first: int
    busiest: float
    refused: int
    submitted: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return asdict(self)


class Field:
    """An emulator with a source of some shape, a destination that swallows, and a place for a checkpoint."""

    def __init__(self, emulator: Emulator, database: Path) -> None:
        self.emulator = emulator
        self.database = database

    def run(self, script: str, *arguments: object) -> Run:
        """Run a contestant in a process of its own, and wait for it.

        Raises:
            ContestantError: it failed, or took longer than anything may.
        """
        with tempfile.TemporaryFile("w+") as errors:
            service, began = self._service_cpu(), time.monotonic()
            process = self.start(script, *arguments, output=subprocess.PIPE, errors=errors)
            timer = Timer(PATIENCE_SECONDS, process.kill)
            timer.start()
            assert process.stdout is not None
            output = process.stdout.read()
            process.wait()
            process.stdout.close()
            timer.cancel()
            seconds = time.monotonic() - began
            if process.returncode:
                errors.seek(0)
                last = errors.read().strip().rpartition("\n")[2]
                raise ContestantError(f"{script} ended with {process.returncode}: {last}")
        said = json.loads(output.splitlines()[-1])
        return Run(script=script, process=seconds, service=self._service_cpu() - service, **said)

    def start(
        self, script: str, *arguments: object, output: int = subprocess.DEVNULL, errors: IO[str] | None = None
    ) -> subprocess.Popen[str]:
        """Begin to run a contestant; whoever begins it ends it."""
        environment = os.environ | self.emulator.environment()
        environment["PREFECT_GLOBUS_DATABASE_URL"] = f"sqlite:///{self.database}"
        command = [sys.executable, str(HERE / script)]
        if script in (BARE, FLOW):
            command += [f"{SOURCE}:/", f"{DESTINATION}:/"]
        command += map(str, arguments)
        return subprocess.Popen(command, env=environment, stdout=output, stderr=errors, text=True)

    @property
    def checkpoint_bytes(self) -> tuple[int, int]:
        """Of the database, and of the log beside it, in which SQLite writes first."""
        files = (Path(f"{self.database}{end}") for end in ("", "-wal"))
        size, log = (file.stat().st_size if file.exists() else 0 for file in files)
        return size, log

    def _service_cpu(self) -> float:
        with suppress(OSError):
            parts = Path(f"/proc/{self.emulator.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(parts[11]) + int(parts[12])) / TICKS
        return 0.0  # a system that does not tell


class Arena:
    """Gives each run its field."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._fields = 0

    @contextmanager
    def field(
        self,
        source: str | Path,
        destination: str | Path = NOTHING,
        database: Path | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Iterator[Field]:
        """An emulator with a fresh state, for as long as the block lasts.

        Args:
            source: a folder, or a shape such as `synthetic:files=1000,dirs=10`.
            destination: another.
            database: one with a checkpoint; an empty one if left out.
            options: of `running_emulator`.
        """
        self._fields += 1
        specs = [f"source@{SOURCE}={source}", f"destination@{DESTINATION}={destination}"]
        with running_emulator(specs, **options) as emulator:
            yield Field(emulator, database or self.home / f"{self._fields}.db")


@contextmanager
def arena() -> Iterator[Arena]:
    """A Prefect server that does not know of the user's own, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="prefect-globus-bench-") as folder:
        for name in [name for name in os.environ if name.startswith(("GLOBUS_", "PREFECT_"))]:
            del os.environ[name]
        os.environ |= {"HOME": folder, "XDG_DATA_HOME": folder, "PREFECT_HOME": f"{folder}/prefect"}
        os.environ |= {"PREFECT_LOGGING_LEVEL": "WARNING", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        from prefect_globus.cli.server import prefect_api  # noqa: PLC0415 - reads the environment that was just set

        with prefect_api(quiet=True) as ready:
            ready()
            found = Arena(Path(folder))
            with found.field("synthetic:files=1") as warm:
                warm.run(FLOW)  # the first is slower, whoever it is
            yield found
