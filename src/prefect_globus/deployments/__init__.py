"""When transfers run: as Prefect deployments."""
