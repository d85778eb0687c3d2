"""Our own errors in Prefect's log: in a line in our flows, and with the caller's lines in those of others."""

from __future__ import annotations

import importlib
import logging
import pkgutil

import pytest
from prefect import flow
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus import flows, resumable_transfer
from prefect_globus.flows.short_errors import FLOWS
from prefect_globus.transfers.errors import InvalidLocationError


def test_only_in_somebody_elses_flow_an_error_of_ours_has_a_traceback(
    prefect_api: str, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def nightly() -> None:
        resumable_transfer("nonsense", "nonsense")

    with (
        temporary_settings({PREFECT_API_URL: prefect_api}),
        caplog.at_level(logging.ERROR),
        pytest.raises(InvalidLocationError),
    ):
        nightly()
    said = {record.flow_name: record for record in caplog.records if record.name == "prefect.flow_runs"}
    assert "'nonsense' is not a location" in said["resumable-transfer"].getMessage()
    assert said["resumable-transfer"].exc_info is None
    assert said["nightly"].exc_info


def test_all_flows_of_the_package_are_meant() -> None:
    modules = [
        importlib.import_module(f"{flows.__name__}.{each.name}") for each in pkgutil.iter_modules(flows.__path__)
    ]
    found = {each.name for module in modules for each in vars(module).values() if isinstance(each, Flow)}
    assert found == FLOWS
