"""Spans. Without an SDK of OpenTelemetry, which its users bring along, they cost a microsecond and go nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, get_current_span, get_tracer

_tracer = get_tracer("prefect_globus")

Attributes = Mapping[str, str | int | float | bool | None]


@contextmanager
def span(name: str, attributes: Attributes, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A span while the block lasts, below the current one; see `describe` for its attributes.

    Of an error it has the kind and not the message, as that may have paths in it.
    """
    with _tracer.start_as_current_span(
        name, kind=kind, record_exception=False, set_status_on_exception=False
    ) as current:
        describe(current, attributes)
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            current.set_attribute("error.type", type(error).__name__)
            raise


def describe(current: Span, attributes: Attributes) -> None:
    """Give a span attributes; those that are None are left out. Their names have our prefix."""
    if current.is_recording():
        for name, value in attributes.items():
            if value is not None:
                current.set_attribute(f"prefect_globus.{name}", value)


def is_traced() -> bool:
    """Whether somebody wants to know of what goes on here: a span of its own would be a trace of its own otherwise."""
    return get_current_span().is_recording()
