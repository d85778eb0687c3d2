"""The collections of the playground: folders with files of several sizes, and one file that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from prefect_globus.emulator import Emulator, FailFile, TaskFault

_SIZES = (400, 6_000, 40_000, 120_000, 400_000)  # bytes, in turn
_ROW = "2026-11-22T02:00:00Z,{:06},21.4,0.93\n"
_DAYS, _FILES_A_DAY = 12, 25
_UNREADABLE = 0o000


class Samples(NamedTuple):
    """Folders that the local Globus serves, by the names of their collections.

    Attributes:
        survey: a source of some hundred files.
        instrument: a source of few files, one of which cannot be read.
        archive: a destination.
        locked: the file that cannot be read, until its mode is changed.
    """

    survey: Path
    instrument: Path
    archive: Path
    locked: Path

    @property
    def collections(self) -> dict[str, str | Path]:
        """What the local Globus is to serve."""
        return {"survey": self.survey, "instrument": self.instrument, "archive": self.archive}


def make_samples(folder: Path) -> Samples:
    """Make the sample collections in ``folder``, or take those that are there as they are."""
    samples = Samples(
        folder / "survey", folder / "instrument", folder / "archive", folder / "instrument" / "raw" / "locked.csv"
    )
    samples.archive.mkdir(parents=True, exist_ok=True)
    if not samples.instrument.exists():
        for number in range(20):
            _write(samples.instrument / "raw" / f"frame-{number:02}.csv", _SIZES[number % len(_SIZES)])
        _write(samples.locked, _SIZES[0])
        samples.locked.chmod(_UNREADABLE)
    if not samples.survey.exists():
        for number in range(_DAYS * _FILES_A_DAY):
            day, part = divmod(number, _FILES_A_DAY)
            _write(samples.survey / f"day-{day + 1:02}" / f"part-{part:02}.csv", _SIZES[number % len(_SIZES)])
    return samples


def _write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = size // len(_ROW.format(0)) + 1
    path.write_text("".join(_ROW.format(number) for number in range(rows)))


class Lock:
    """Refuses the locked file also where the local Globus may read everything, as root may: by the file's mode."""

    def __init__(self, globus: Emulator, path: Path) -> None:
        self._globus = globus
        self._path = path
        self._fault: str | None = None
        globus.clear()  # what an earlier playground has left in the state

    def look(self) -> None:
        """Lock or unlock the file, as its mode says now."""
        locked = self._path.exists() and not self._path.stat().st_mode & 0o444 and os.access(self._path, os.R_OK)
        if locked and self._fault is None:
            refused = FailFile("PERMISSION_DENIED", message="Permission denied")
            self._fault = self._globus.inject(TaskFault(refused, collection="instrument", file=f"*/{self._path.name}"))
        elif not locked and self._fault is not None:
            self._globus.clear(self._fault)
            self._fault = None
