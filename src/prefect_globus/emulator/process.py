"""An emulator in a child process: for test suites, for our own command line, and for killing."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from prefect_globus.emulator.injection.client import Controls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLIENT_VARIABLE = "PREFECT_GLOBUS_EMULATOR_CLIENT"
SERVICES = ("TRANSFER", "AUTH", "TIMER")
READY = "Globus emulator ready at "
COLLECTION_LINE = re.compile(r"  (.*?)  ([0-9a-f-]{36})  ")
SEVERAL = {
    "collections": "give {'lab': './lab'} or ['lab=./lab']",
    "client": "give ('id', 'secret')",
    "data_access": "give ['lab']",
}
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class EmulatorProcessError(RuntimeError):
    """The emulator did not start; the message is what it said."""


class Emulator(Controls):
    """A running emulator. It ends when this process does, even by SIGKILL, because it reads a pipe that we hold.

    Attributes:
        url: origin of all its services, such as `http://127.0.0.1:40123`.
        collections: UUID of each collection, by name.
        state: its state file.
    """

    def __init__(
        self, collections: Sequence[str], state: Path, options: Sequence[str], port: int, client: str | None = None
    ) -> None:
        super().__init__("", client)
        self.state = state
        self.collections: dict[str, str] = {}
        self._specs = tuple(collections)
        self._options = tuple(options)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the server. Raises EmulatorProcessError if there is none."""
        if self._process is None:
            raise EmulatorProcessError("The emulator does not run")
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the server does not run, or not any more."""
        return self._process is None or self._process.poll() is not None

    def environment(self) -> dict[str, str]:
        """Return the variables that lead globus-sdk and globus-cli here (contract section 9)."""
        return {f"GLOBUS_SDK_SERVICE_URL_{service}": self.url for service in SERVICES}

    def start(self) -> Self:
        """Start the server and wait until it is ready. Raises EmulatorProcessError, with what it said."""
        # -P: a random.py in the current folder is none of ours
        command = [sys.executable, "-P", "-m", "prefect_globus.emulator", "serve", "--until-stdin-closes"]
        command += ["--port", str(self._port), "--state", str(self.state), *self._options]
        for spec in self._specs:
            command += ["--collection", spec]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 -- our own program
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._child_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is for whoever uses us
            )
            self._process = process
            lines = _first_lines(process, 1 + len(self._specs))
            if not lines or not lines[0].startswith(READY):
                self.kill()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise EmulatorProcessError(said or f"The emulator was not ready after {START_SECONDS:.0f} seconds")
        self.url = lines[0].removeprefix(READY)
        self._port = int(self.url.rpartition(":")[2])
        self.collections = {found[1]: found[2] for line in lines[1:] if (found := COLLECTION_LINE.match(line))}
        return self

    def _child_environment(self) -> dict[str, str]:
        """Ours, with the client, whose secret would be seen by everybody on a command line."""
        inherited = {name: value for name, value in os.environ.items() if name != CLIENT_VARIABLE}
        return inherited if self._client is None else {**inherited, CLIENT_VARIABLE: self._client}

    def kill(self) -> None:
        """End the server at once with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server as a person would; its tasks go on when it is started again."""
        self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Start the server again, with the same port and state. Stops it first if it runs."""
        self.stop()
        return self.start()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def running_emulator(
    collections: Mapping[str, str | Path] | Sequence[str],
    *,
    state: str | Path | None = None,
    time_scale: float = 1.0,
    client: tuple[str, str] | None = None,
    port: int = 0,
    rate: int = 0,
    file_delay: float = 0.0,
    data_access: Sequence[str] = (),
    latency: int = 0,
    requests_per_second: int = 0,
    listing_limit: int = 100_000,
    token_lifetime: int = 172_800,
) -> Iterator[Emulator]:
    """Run an emulator for as long as the block lasts.

    Args:
        collections: by name, folders or shapes such as `synthetic:files=1000,dirs=10`, or specs `NAME[@UUID]=DIR`.
        state: file that keeps its state; a temporary one if left out.
        time_scale: how many times shorter every wait of Globus is.
        client: id and secret of the only client that gets a token; any client does if left out.
        port: 0 picks a free one.
        rate: bytes per second that one task may move, 0 for no limit.
        file_delay: seconds that a task waits before each file.
        data_access: names of the collections that need the data_access consent.
        latency: milliseconds that each request waits.
        requests_per_second: how many requests a second, metered over 10 s, a user may make of the Transfer API, 0 for
            no limit.
        listing_limit: entries of a directory, above which listing it is refused.
        token_lifetime: seconds that an access token is good, whatever the time scale.

    Raises:
        EmulatorProcessError: if it does not start, with what it said.
        TypeError: if a text stands where several are meant: its letters would be taken for them.
    """
    for name, several in (("collections", collections), ("client", client), ("data_access", data_access)):
        if isinstance(several, str):
            raise TypeError(f"{name} must not be a single text: {SEVERAL[name]}")
    if isinstance(collections, Mapping):
        specs = [f"{name}={folder}" for name, folder in collections.items()]
    else:
        specs = list(collections)
    options = ["--time-scale", str(time_scale), "--rate", str(rate), "--file-delay", str(file_delay)]
    options += ["--latency", str(latency), "--requests-per-second", str(requests_per_second)]
    options += ["--listing-limit", str(listing_limit), "--token-lifetime", str(token_lifetime)]
    options += [word for name in data_access for word in ("--data-access", name)]
    with state_file(state) as path:
        emulator = Emulator(specs, path, options, port, ":".join(client) if client else None).start()
        try:
            yield emulator
        finally:
            emulator.stop()


@contextmanager
def state_file(given: str | Path | None) -> Iterator[Path]:
    """Yield the state file that was given, or one in a folder that lasts as long as the block."""
    if given is not None:
        yield Path(given).absolute()
        return
    folder = tempfile.mkdtemp(prefix="globus-emulator-")
    try:
        yield Path(folder) / "state.sqlite"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _first_lines(process: subprocess.Popen[bytes], count: int) -> list[str]:
    """Return the first lines that the server says, or fewer if it ends or takes too long."""
    output: IO[bytes] | None = process.stdout
    if output is None:
        return []
    deadline = time.monotonic() + START_SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while said.count(b"\n") < count and selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(output.fileno(), 65536)
            if not chunk:
                break
            said += chunk
    return said.decode().splitlines()
