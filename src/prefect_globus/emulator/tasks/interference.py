"""Where faults on demand come in: what a round of a task asks before each path and for each file that it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.storage import Source, Target
    from prefect_globus.emulator.tasks.engine import Engine
    from prefect_globus.emulator.tasks.model import Task, Work
    from prefect_globus.emulator.tasks.mover import Control


class Interference:
    """What one round meets on demand: nothing."""

    @property
    def is_possible(self) -> bool:
        """Whether anything may be met now, so that each file is to be moved by itself."""
        return False

    def before(self, work: Work, files_moved: int) -> None:
        """Be told of a piece of work that is about to be tried.

        Args:
            work: the piece.
            files_moved: how many files the task has moved so far.

        Raises:
            Fault: what it shall fail with.
            InterruptedMoveError: if the task is to stop.
        """

    def target(self, work: Work, source: Source, target: Target) -> Target:  # noqa: ARG002 -- for those who do interfere
        """Return where the open file of a piece of work is to be written."""
        return target


class Interferer:
    """Interferes with tasks: not at all."""

    def of_round(self, engine: Engine, task: Task, control: Control) -> Interference:  # noqa: ARG002 -- as above
        """Return what a round of a task shall meet."""
        return Interference()
