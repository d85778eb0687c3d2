"""A local Globus: Transfer and Auth over real HTTP, with collections that are folders and tasks that move files."""

from prefect_globus.emulator.process import Emulator, EmulatorProcessError, running_emulator

__all__ = ["Emulator", "EmulatorProcessError", "running_emulator"]
