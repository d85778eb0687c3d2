"""Stretches of time as people write them: ``30d``, ``1d 12h``."""

from __future__ import annotations

from datetime import timedelta

import click

from prefect_globus.transfers.quantities import read_span

_LONGEST = timedelta(days=36_500)


class Span(click.ParamType[timedelta]):
    """Numbers and their units, such as ``90min``; a number alone could mean anything."""

    name = "span"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read ``value``."""
        if isinstance(value, timedelta):
            return value
        try:
            seconds = read_span(value)
        except ValueError:
            seconds = None
        if seconds is None or value.strip()[-1:].isdigit():
            words = "is no stretch of time: write a number and its unit, as in 90min, 12h, 30d or 1d12h"
            self.fail(f"{value!r} {words}", param, ctx)
        if seconds > _LONGEST.total_seconds():
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return timedelta(seconds=seconds)
