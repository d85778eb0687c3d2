"""Throughput over time: summed up while the attempts come by, however many there are, and drawn as a picture."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape

from prefect_globus.transfers.quantities import size, span
from prefect_globus.transfers.records import Record

BINS = 96
_BLOCKS = " ▁▂▃▄▅▆▇█"


class Throughput(Record):
    """How much was moved when. What a Globus task has moved is spread evenly over the time for which it was at work.

    Args:
        began_at: when the first bin begins.
        seconds: how long each of them is.
        amounts: what was moved in each.
        of_files: whether the amounts are files rather than bytes, as nothing but empty files was moved.
    """

    began_at: datetime
    seconds: float
    amounts: tuple[float, ...]
    of_files: bool = False

    @property
    def rates(self) -> list[float]:
        """Per second, bin by bin."""
        return [amount / self.seconds for amount in self.amounts]

    @property
    def ended_at(self) -> datetime:
        """When the last bin ends."""
        return self.began_at + timedelta(seconds=self.seconds * len(self.amounts))

    def rate(self, per_second: float) -> str:
        """A rate for people."""
        return f"{per_second:,.1f} files/s" if self.of_files else f"{size(per_second)}/s"

    def blocks(self, width: int) -> str:
        """The rates as a line of ``width`` characters at most, each as high as its rate."""
        rates = _fewer(self.rates, width)
        peak = max(rates)
        steps = len(_BLOCKS) - 1
        # what has moved anything at all is seen
        return "".join(_BLOCKS[max(int(rate > 0), round(rate / peak * steps))] for rate in rates)


class Tally:
    """Sums up throughput in at most `BINS` bins. They grow twice as long whenever time goes on beyond them.

    Args:
        began_at: when the first bin begins; what was moved before, by another machine's clock, counts as moved then.
    """

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._seconds = 1.0
        self._bytes = [0.0] * BINS
        self._files = [0.0] * BINS

    def add(self, began_at: datetime, ended_at: datetime, *, files: int, size: int) -> None:
        """Spread what one attempt has moved over its time."""
        start = max(0.0, (began_at - self._began_at).total_seconds())
        end = max(start, (ended_at - self._began_at).total_seconds())
        while end >= self._seconds * BINS:
            self._widen()
        first, last = int(start / self._seconds), int(end / self._seconds)
        for number in range(first, last + 1):
            inside = min(end, (number + 1) * self._seconds) - max(start, number * self._seconds)
            share = inside / (end - start) if end > start else 1.0
            self._bytes[number] += size * share
            self._files[number] += files * share

    def throughput(self) -> Throughput | None:
        """What it amounts to, up to the last bin in which something was moved; None when nothing was."""
        amounts = self._bytes if any(self._bytes) else self._files
        used = max((number for number, amount in enumerate(amounts) if amount), default=-1) + 1
        if not used:
            return None
        of_files = amounts is self._files
        return Throughput(
            began_at=self._began_at, seconds=self._seconds, amounts=tuple(amounts[:used]), of_files=of_files
        )

    def _widen(self) -> None:
        self._seconds *= 2
        for amounts in (self._bytes, self._files):
            amounts[:] = [sum(amounts[at : at + 2]) for at in range(0, BINS, 2)] + [0.0] * (BINS // 2)


def _fewer(rates: Sequence[float], width: int) -> list[float]:
    """``rates`` as ``width`` means at most."""
    step = -(-len(rates) // width)
    parts = [rates[at : at + step] for at in range(0, len(rates), step)]
    return [sum(part) / len(part) for part in parts]


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 200, 8, 24, 26


def picture(throughput: Throughput, resumed_at: Iterable[datetime] = ()) -> str:
    """An SVG of the rates over time, with a line at each moment at which another process took over.

    It is readable on light and on dark ground, and takes the colour of the text where it is part of a page.
    """
    rates = throughput.rates
    peak, floor = max(rates), _HEIGHT - _BOTTOM
    wide = (_WIDTH - 2 * _LEFT) / len(rates)
    bars = " ".join(
        f"M{_LEFT + number * wide:.1f} {floor}v-{rate / peak * (floor - _TOP):.1f}h{wide * 0.86:.1f}V{floor}z"
        for number, rate in enumerate(rates)
        if rate
    )
    length = (throughput.ended_at - throughput.began_at).total_seconds()
    marks = [(moment - throughput.began_at).total_seconds() / length for moment in resumed_at]
    lines = "".join(
        f'<path d="M{_LEFT + at * (_WIDTH - 2 * _LEFT):.1f} {_TOP}V{floor}" stroke="#d9534f" stroke-dasharray="3 3"/>'
        for at in marks
        if 0 < at < 1
    )
    if lines:
        lines += f'<text x="{_WIDTH - _LEFT}" y="{_TOP - 8}" text-anchor="end" fill="#d9534f">dashed: resumed</text>'
    title = f"Throughput: at most {throughput.rate(peak)}, over {span(length)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" color="#7d8590" font-family="sans-serif" font-size="12">'
        f"<title>{escape(title)}</title>"
        f'<path d="M{_LEFT} {_TOP}H{_WIDTH - _LEFT}M{_LEFT} {floor}H{_WIDTH - _LEFT}" stroke="currentColor" '
        f'stroke-opacity="0.5"/>'
        f'<path d="{bars}" fill="#2f81f7"/>{lines}'
        f'<g fill="currentColor"><text x="{_LEFT}" y="{_TOP - 8}">{escape(throughput.rate(peak))}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{throughput.began_at:%Y-%m-%d %H:%M:%S} UTC</text>'
        f'<text x="{_WIDTH - _LEFT}" y="{_HEIGHT - 8}" text-anchor="end">{throughput.ended_at:%Y-%m-%d %H:%M:%S}'
        f" UTC</text></g></svg>"
    )


def as_image(svg: str) -> str:
    """``svg`` as the address of an image, for Markdown."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
