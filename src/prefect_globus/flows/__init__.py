"""What Prefect users run: the resumable transfer, and the calls that control it."""

from prefect_globus.flows.short_errors import shorten

shorten()  # before any of them runs, in whatever process that is
