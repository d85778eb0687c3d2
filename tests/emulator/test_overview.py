"""The pages for a person."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import globus_sdk
import pytest
import requests

from prefect_globus.emulator.overview import size
from prefect_globus.emulator.process import running_emulator

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab


def shown(lab: Lab, path: str = "/", **options: object) -> str:
    answer = requests.get(lab.emulator.url + path, timeout=30, **options)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    return html.unescape(answer.text)


def timers_client(lab: Lab) -> globus_sdk.TimersClient:
    login = globus_sdk.ConfidentialAppAuthClient(lab.client_id, "secret", base_url=lab.emulator.url)
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, globus_sdk.TimersClient.scopes.timer)
    return globus_sdk.TimersClient(authorizer=authorizer, base_url=lab.emulator.url)


def test_collections_tasks_and_timers_are_shown(lab: Lab) -> None:
    """With progress, faults, and what is to come."""
    lab.put("file", b"x" * 2048)
    task = lab.transfer("file", label="nightly <b>run</b>")
    missing = lab.submit("none")
    lab.wait(missing, lambda found: found["faults"] > 0)
    body = globus_sdk.TransferData(lab.source_id, lab.destination_id)
    body.add_item(lab.path("file"), lab.path("copy"))
    schedule = globus_sdk.RecurringTimerSchedule(interval_seconds=86_400)
    timers_client(lab).create_timer(globus_sdk.TransferTimer(name="every day", schedule=schedule, body=body))
    answer = requests.get(lab.emulator.url, timeout=30)
    assert "nightly &lt;b&gt;run&lt;/b&gt;" in answer.text
    assert answer.headers["Refresh"]
    page = html.unescape(answer.text)
    assert lab.source_id in page
    assert "1 of 1" in page
    assert "2.0 KiB" in page
    assert "FILE_NOT_FOUND" in page
    assert "every day" in page
    assert "every 86400 s" in page
    assert "Every wait of Globus is 200 times shorter here" in page
    page = shown(lab, f"/tasks/{task['task_id']}")
    assert "SUCCEEDED" in page
    assert "STARTED" in page
    assert "File: /" in shown(lab, f"/tasks/{missing}")


def test_the_pages_stand_still_when_nothing_goes_on(make_lab: Callable[..., Lab]) -> None:
    """And what is older is a link away."""
    lab = make_lab()
    lab.put("file")
    assert "There are none." in shown(lab)
    tasks = [lab.transfer("file", label=f"task {number}")["task_id"] for number in range(52)]
    answer = requests.get(lab.emulator.url, timeout=30)
    assert "Refresh" not in answer.headers
    assert tasks[2] in answer.text
    assert tasks[1] not in answer.text
    older = answer.text.partition('"/?before=')[2].partition('"')[0]
    page = shown(lab, f"/?before={older}")
    assert tasks[1] in page
    assert tasks[2] not in page
    assert "none that are older" in shown(lab, "/?before=1")


def test_an_unknown_task_is_a_page_too(lab: Lab) -> None:
    """It says what was asked for, and nothing of it becomes markup."""
    answer = requests.get(f"{lab.emulator.url}/tasks/<script>", timeout=30)
    assert answer.status_code == 404
    assert "There is no task" in answer.text
    assert "<script>" not in answer.text


def test_with_a_client_the_pages_ask_for_its_secret(tmp_path: Path) -> None:
    """As name and password, which every browser asks a person for."""
    with running_emulator({"only": tmp_path}, client=("me", "hush")) as emulator:
        refused = requests.get(emulator.url, timeout=30)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
        assert "Collections" in requests.get(emulator.url, auth=("me", "hush"), timeout=30).text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**60, "1024.0 PiB")])
def test_sizes_are_told_in_words(count: int, text: str) -> None:
    """In binary units."""
    assert size(count) == text
