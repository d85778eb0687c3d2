"""A local Globus: Transfer and Auth over real HTTP, with collections that are folders and tasks that move files."""

from prefect_globus.emulator.injection.client import Controls, RefusedError
from prefect_globus.emulator.injection.model import (
    AlterFile,
    Answer,
    Delay,
    Drop,
    ExpireTask,
    FailFile,
    FillDisk,
    FlipBit,
    HalfBody,
    InactivateTask,
    InjectedFault,
    MalformedBody,
    PauseTask,
    RequestFault,
    TaskFault,
)
from prefect_globus.emulator.process import Emulator, EmulatorProcessError, running_emulator

__all__ = [
    "AlterFile",
    "Answer",
    "Controls",
    "Delay",
    "Drop",
    "Emulator",
    "EmulatorProcessError",
    "ExpireTask",
    "FailFile",
    "FillDisk",
    "FlipBit",
    "HalfBody",
    "InactivateTask",
    "InjectedFault",
    "MalformedBody",
    "PauseTask",
    "RefusedError",
    "RequestFault",
    "TaskFault",
    "running_emulator",
]
