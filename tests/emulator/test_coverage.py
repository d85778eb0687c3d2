"""docs/emulator-coverage.md says which requests of globus-sdk are served, and says it truly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import requests

from support.sdk_requests import asked, table

if TYPE_CHECKING:
    from prefect_globus.emulator.process import Emulator

PAGE = Path(__file__).parents[2] / "docs" / "emulator-coverage.md"


def test_the_page_is_fresh() -> None:
    """A new method of the SDK, or a new route of ours: make the page again, as its first lines say."""
    assert PAGE.read_text() == table()


def test_the_page_is_true(shared: tuple[Emulator, Path, Path]) -> None:
    """What is served wants a token or has an answer; the rest is refused as the page says."""
    for one in sorted(set(asked())):
        answer = requests.request(one.verb, shared[0].url + one.path, timeout=20)
        assert answer.headers["content-type"] == "application/json", one
        if one.refusal is None:
            assert answer.status_code in (200, 400, 401), (one, answer.text)
        else:
            assert answer.status_code == one.refusal, (one, answer.text)
            assert answer.json()["code"] in ("ClientError.NotFound", "ClientError.MethodNotAllowed"), one
            assert f"does not serve {one.verb} {one.path}" in answer.json()["message"], one
