"""Transfers between plain folders, by the command that a user types."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

from shells import Shell, call, children, contents, interrupt, is_alive, wait_until

from prefect_globus.emulator.process import running_emulator

KEYS = {
    *("id", "status", "source", "destination", "items_total", "items_transferred", "items_unchanged"),
    *("items_skipped", "items_failed", "items_remaining", "bytes_total", "bytes_transferred", "batches_total"),
    *("batches_done", "tasks", "error", "updated_at"),
}
FILES = 24
SLOW = ("--file-delay", "1.5", "--batch-size", "4", "--max-concurrency", "2", "--quiet")


def started(shell: Shell, transfer_id: str = "nightly") -> subprocess.Popen[str]:
    """A slow transfer whose emulator runs."""
    if not (shell.folder / "a").exists():
        shell.tree("a", FILES)
    process = shell.start("transfer", "a", transfer_id, "--id", transfer_id, *SLOW)
    lock = state_of(shell, transfer_id).with_suffix(".db.lock")
    wait_until(lambda: process.poll() is not None or lock.exists(), "the emulator")
    return process


def arrived(shell: Shell, process: subprocess.Popen[str], transfer_id: str = "nightly") -> set[int]:
    """Wait until the transfer is in the middle; return its children."""
    folder = shell.folder / transfer_id
    wait_until(lambda: process.poll() is not None or len(list(folder.rglob("*.dat"))) > 2, "the first files")
    assert process.poll() is None, process.communicate()
    return children(process.pid)


def state_of(shell: Shell, transfer_id: str) -> Path:
    return shell.home / ".local" / "share" / "prefect-globus" / "local" / f"{transfer_id}.db"


def test_the_first_run_needs_no_configuration_and_says_nothing_odd(bare_shell: Shell) -> None:
    source = bare_shell.tree("a", 12)
    for name in ("grp.py", "random.py"):  # a user's files are no modules of ours
        (bare_shell.folder / name).write_text("raise SystemExit('imported')")
    process = bare_shell.start("transfer", "./a", "./b", "--id", "nightly")
    seen: set[int] = set()
    while process.poll() is None:
        seen |= children(process.pid)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert contents(bare_shell.folder / "b") == contents(source)
    assert "nightly is COMPLETED: 12 of 12 items transferred" in out
    assert "12 of 12 items" in err.splitlines()[-1]
    assert not [word for word in ("Traceback", "Warning", "Error") if word in out + err]
    assert seen
    assert not [pid for pid in seen if is_alive(pid)]
    assert not state_of(bare_shell, "nightly").exists()


def test_json_is_all_there_is_on_stdout(shell: Shell) -> None:
    source = shell.tree("a", 7)
    done = shell.run("transfer", "a", "b", "--json", "--exclude", "*6.dat")
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert result.keys() >= KEYS
    assert result["status"] == "COMPLETED"
    assert result["items_transferred"] == result["items_total"] == 6
    assert result["id"].startswith("transfer-20")
    assert contents(shell.folder / "b").keys() == contents(source).keys() - {"0/6.dat"}


def test_a_file_goes_into_an_existing_folder(shell: Shell) -> None:
    (shell.folder / "one.txt").write_text("content")
    (shell.folder / "b").mkdir()
    done = shell.run("transfer", "one.txt", "b")
    assert (done.returncode, (shell.folder / "b" / "one.txt").read_text()) == (0, "content"), done.stderr


def test_locations_are_on_the_globus_of_the_environment(shell: Shell) -> None:
    folders = {"source": shell.tree("a", 5), "destination": shell.folder / "b"}
    folders["destination"].mkdir()
    with running_emulator(folders, client=("me", "hush-hush")) as emulator:
        shell.environment |= emulator.environment()
        shell.environment |= {"GLOBUS_CLIENT_ID": "me", "GLOBUS_CLIENT_SECRET": "hush-hush"}
        source, destination = emulator.collections["source"], emulator.collections["destination"]
        done = shell.run("transfer", f"{source}:/", f"{destination}:/in/there", "--id", "remote", "-v")
    assert done.returncode == 0, done.stderr
    assert contents(shell.folder / "b" / "in" / "there") == contents(folders["source"])
    assert "Finished in state Completed()" in done.stderr
    assert "hush-hush" not in done.stdout + done.stderr


def test_a_killed_transfer_goes_on_where_it_was(shell: Shell) -> None:
    files = 3 * FILES  # the second command takes its time on a busy machine
    shell.tree("a", files)
    process = started(shell)
    second = shell.run("transfer", "a", "nightly", "--id", "nightly")
    assert (second.returncode, second.stdout) == (1, "")
    assert f"process {process.pid}" in second.stderr

    served = arrived(shell, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not any(map(is_alive, served)), "the emulator's end")
    assert len(contents(shell.folder / "nightly")) < files

    resumed = shell.run("resume", "nightly", "--json")
    assert resumed.returncode == 0, resumed.stderr
    result = json.loads(resumed.stdout)
    assert result["items_transferred"] == files
    assert result["batches_total"] == len(result["tasks"])  # no batch was submitted twice
    assert contents(shell.folder / "nightly") == contents(shell.folder / "a")
    assert not state_of(shell, "nightly").exists()


def test_who_waits_takes_over_from_a_driver_that_is_killed(shell: Shell) -> None:
    process = started(shell)
    waiting = shell.start("transfer", "a", "nightly", "--id", "nightly", "--wait", "60")
    arrived(shell, process)
    process.send_signal(signal.SIGKILL)
    _, err = waiting.communicate(timeout=90)
    assert waiting.returncode == 0, err
    assert contents(shell.folder / "nightly") == contents(shell.folder / "a")


def test_another_process_cancels(shell: Shell, here: Path) -> None:
    process = started(shell)
    arrived(shell, process)
    canceled = call("cancel", "nightly", "--json")
    assert json.loads(canceled.out)["status"] == "CANCELED", canceled.err
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "nightly is CANCELED" in out
    assert "Error: Transfer 'nightly' was canceled" in err
    assert "Traceback" not in err
    assert len(contents(here / "nightly")) < FILES


def test_an_interrupt_leaves_a_transfer_to_resume_and_no_orphans(shell: Shell, here: Path) -> None:
    signals = {"by-keyboard": signal.SIGINT, "by-system": signal.SIGTERM}
    processes = {name: started(shell, name) for name in signals}
    for name, process in processes.items():
        served = arrived(shell, process, name)
        out, err = interrupt(process, signals[name])
        assert process.returncode == 130
        assert (out, err) == ("", f"Interrupted. Resume with: prefect-globus resume {name}\n")
        assert served
        assert not [pid for pid in served if is_alive(pid)]
    shown = call("resume", "--dry-run", "--json")
    assert [each["id"] for each in json.loads(shown.out)] == list(signals)

    shutil.rmtree(here / "by-keyboard")
    resumed = shell.run("resume")
    assert resumed.returncode == 1
    assert "is gone" in resumed.stderr
    assert "by-system is COMPLETED" in resumed.stdout  # one that cannot begin hinders no other


def test_another_process_pauses_and_a_resume_without_an_id_leaves_that_alone(shell: Shell, here: Path) -> None:
    process = started(shell)
    arrived(shell, process)
    paused = call("pause", "nightly", "--now", "--json")
    assert json.loads(paused.out)["status"] == "PAUSED", paused.err
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "nightly is PAUSED" in out
    why, _, hint = err.partition(". ")
    assert why == "Error: Transfer 'nightly' is paused: somebody has asked for it"
    assert hint == "Resume it with: prefect-globus resume nightly\n"
    assert len(contents(here / "nightly")) < FILES

    left = shell.run("resume")
    assert (left.returncode, left.stdout) == (0, "")
    assert "nightly is left alone: it is paused, somebody has asked for it." in left.stderr
    resumed = shell.run("resume", "nightly", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    assert contents(here / "nightly") == contents(here / "a")


def test_what_has_failed_for_good_is_listed_and_tried_again(shell: Shell, here: Path) -> None:
    source = shell.tree("a", 6)
    (source / "link").symlink_to("later")
    failed = shell.run("transfer", "a", "b", "--id", "nightly", "--symlinks", "follow", "--retry-limit", "0", "--quiet")
    assert failed.returncode == 1
    assert "1 item failed for good" in failed.stderr
    listed = call("items", "nightly", "--failed")
    assert (listed.code, listed.out.split()[-2:]) == (0, ["link", "INVALID_SYMLINK"])

    (source / "later").write_text("1")
    redriven = shell.run("redrive", "nightly", "--match", "li*", "--code", "INVALID_SYMLINK", "--quiet")
    assert redriven.returncode == 0, redriven.stderr
    assert redriven.stderr == ""
    assert "nightly is COMPLETED: 7 of 7 items transferred" in redriven.stdout
    assert (here / "b" / "link").read_text() == "1"
    assert "REDRIVEN" in call("history", "nightly").out
