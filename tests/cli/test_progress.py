"""What is shown while a transfer runs: how far it is, and, once, what a person has to mend."""

from __future__ import annotations

import logging

import pytest

from prefect_globus.cli.logs import quiet_logging
from prefect_globus.cli.progress import Phase, shown_progress
from prefect_globus.tasks.holds import Holds
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.options import TransferOptions


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase(scanning=True, paused=False), "3 of 9+ items, 5 B, still scanning"),
        (Phase(scanning=False, paused=False), "3 of 9 items, 5 B"),
        (Phase(scanning=False, paused=True), "3 of 9 items, 5 B, paused"),
        (Phase(scanning=False, paused=False, dead=2), "1 of 9 items, 5 B, 2 dead letters"),
    ],
    ids=["scanning", "moving", "paused", "failing"],
)
def test_a_line_says_what_the_transfer_is_at(phase: Phase, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(lambda: phase, quiet=False, plain=True) as show:
        assert show is not None
        show(3, 9, 5, False)
    assert capsys.readouterr().err == words + "\n"


@pytest.mark.usefixtures("here")
def test_what_holds_several_batches_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    quiet_logging()
    holds = Holds(Stop("nightly"), lambda _reason: None)
    for _ in range(2):
        with holds.hold("a consent is missing.", TransferOptions()), holds.hold("a task is paused.", TransferOptions()):
            logging.getLogger("prefect_globus").warning("this is another matter")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "Warning: Paused: a consent is missing. It goes on by itself when that is mended.",
        "Warning: Paused: a task is paused. It goes on by itself when that is mended.",
        "Warning: this is another matter",
        "Warning: this is another matter",
    ]
