"""Runs the flow once, as drive.py, with an SDK of OpenTelemetry; then says, in JSON, what was traced and is scraped."""

from __future__ import annotations

import json
import os
import runpy
import urllib.request
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def told(span: ReadableSpan) -> dict[str, Any]:
    parent, context = span.parent, span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "by": span.instrumentation_scope.name if span.instrumentation_scope else None,
        "id": context.span_id,
        "trace": context.trace_id,
        "parent": parent.span_id if parent else None,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
    }


exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
try:
    runpy.run_path(str(Path(__file__).parent / "drive.py"))
finally:
    url = f"http://127.0.0.1:{os.environ['PREFECT_CLIENT_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        metrics = answer.read().decode()
    print(json.dumps({"spans": [told(span) for span in exporter.get_finished_spans()], "metrics": metrics}), flush=True)
