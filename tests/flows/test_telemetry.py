"""Metrics and spans of a transfer, as those who have turned them on get them: over HTTP, and from the real SDK."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from prefect_globus import TransferOptions
from prefect_globus.emulator import Answer, FailFile, RequestFault, TaskFault
from prefect_globus.telemetry.metrics import metrics
from support.ports import free_port
from support.world import CLIENT_SECRET, QUICK, World

PAGE = Path(__file__).parents[2] / "docs/observability.md"
PROGRAM = Path(__file__).parents[1] / "support/observed.py"
DENIED = TaskFault(FailFile("PERMISSION_DENIED"), file="/secret-name")
BUSY = RequestFault(Answer(503, "ServiceUnavailable"), method="GET", path="/v0.10/task/*", times=1)


def observed(world: World, transfer_id: str, **options: Any) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Drive a transfer in a process of its own; its spans, and its metrics by name and labels."""
    made = TransferOptions(**(QUICK | options)).model_dump_json()
    command = [sys.executable, str(PROGRAM), world.location("source"), world.location("destination"), transfer_id, made]
    (world.folder / "metrics").mkdir()
    environment = world.environment | {
        "PROMETHEUS_MULTIPROC_DIR": str(world.folder / "metrics"),
        "PREFECT_CLIENT_METRICS_ENABLED": "true",
        "PREFECT_CLIENT_METRICS_PORT": str(free_port()),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=world.folder, check=False)
    assert CLIENT_SECRET not in done.stdout
    said = json.loads(done.stdout.splitlines()[-1])
    return said["spans"], samples_in(said["metrics"])


def samples_in(page: str) -> dict[str, float]:
    """What Prometheus makes of a page of metrics: values by name and labels."""
    samples = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def served_as_the_page_says(folder: str) -> dict[str, float]:
    """What is left of the metrics when their process has ended, by the program in the docs, over HTTP."""
    port = free_port()
    names: dict[str, Any] = {}
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program = program.replace("/var/lib/transfer-metrics", folder).replace("9100", str(port))
    exec(program.removesuffix("thread.join()\n"), names)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return samples_in(answer.read().decode())
    finally:
        names["server"].shutdown()
        names["server"].server_close()
        names["thread"].join()


def family_of(spans: list[dict[str, Any]]) -> Iterator[tuple[str | None, str]]:
    """Each span of ours with the next one above it that is ours, by their names; Prefect's are between them."""
    known = {span["id"]: span for span in spans}
    for span in spans:
        above = known.get(span["parent"])
        while above is not None and above["by"] != "prefect_globus":
            above = known.get(above["parent"])
        if span["by"] == "prefect_globus":
            name = "request" if " /" in span["name"] else span["name"]
            yield (above["name"] if above else None), name


def test_what_a_transfer_does_is_counted_and_traced(world: World) -> None:
    """The counters are those of the record, the spans hang together, and neither names a file."""
    world.write({"a": "1", "b": "22", "secret-name": "333"})
    with world.emulator.fault(DENIED), world.emulator.fault(BUSY):
        spans, found = observed(world, "test-telemetry", batch_size=2, max_concurrency=1, retry_limit=0)

    batches = list(world.store.list_batches("test-telemetry"))
    attempts = [attempt for batch in batches for attempt in batch.attempts]
    assert found["prefect_globus_items_total{outcome=transferred}"] == 2
    assert found["prefect_globus_items_total{outcome=dead}"] == 1
    assert found["prefect_globus_bytes_transferred_total"] == sum(each.bytes_transferred for each in attempts) == 3
    assert found["prefect_globus_files_transferred_total"] == 2
    assert found["prefect_globus_tasks_submitted_total"] == len(attempts)
    for status, number in Counter(each.status.value for each in attempts).items():
        assert found[f"prefect_globus_tasks_ended_total{{status={status}}}"] == number
    assert found["prefect_globus_tasks_in_flight"] == found["prefect_globus_transfers_driven"] == 0
    assert found["prefect_globus_transfers_ended_total{status=FAILED}"] == 1
    assert found["prefect_globus_task_seconds_count"] == len(attempts)
    assert found["prefect_globus_place_wait_seconds_count"] == len(attempts)
    submitted = "prefect_globus_api_requests_total{method=POST,route=/v0.10/transfer,status=202}"
    assert found[submitted] == len(attempts)
    assert found["prefect_globus_api_requests_total{method=GET,route=/v0.10/task/{id},status=503}"] == 1
    ours = {name for name in found if name.startswith("prefect_globus_")}
    left = served_as_the_page_says(str(world.folder / "metrics"))
    kept = {name for name in ours if "_created" not in name}
    assert {name: left[name] for name in kept} == {name: found[name] for name in kept}
    assert len(ours) < 400
    assert [name for name in set(found) - ours if name.startswith("prefect_")]  # those of Prefect's client

    edges = set(family_of(spans))
    assert {(None, "transfer"), ("transfer", "scan"), ("scan", "request"), ("transfer", "batch")} <= edges
    assert {("batch", "globus task"), ("globus task", "request")} <= edges
    # the looks at the locations come before it
    assert {name for above, name in edges if above is None} == {"transfer", "request"}
    (root,) = [span for span in spans if span["name"] == "transfer"]
    assert [span["by"] for span in spans if span["id"] == root["parent"]] == ["prefect"]
    assert len({span["trace"] for span in spans}) == 1
    tasks = [span for span in spans if span["name"] == "globus task"]
    assert {span["attributes"]["prefect_globus.task_id"] for span in tasks} == {str(each.task_id) for each in attempts}
    assert root["attributes"]["prefect_globus.status"] == "FAILED"
    assert root["status"] == "ERROR"
    assert root["attributes"]["error.type"] == "TransferFailedError"
    requests = [span for span in spans if "http.request.method" in span["attributes"]]
    assert 503 in {span["attributes"]["http.response.status_code"] for span in requests}
    for text in (json.dumps(spans), " ".join(found)):
        assert "secret-name" not in text
        assert CLIENT_SECRET not in text


def test_nothing_is_counted_that_nobody_wants() -> None:
    """Not even registered, as long as Prefect's client metrics are off."""
    assert metrics() is None
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("prefect_globus")]
