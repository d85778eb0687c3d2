"""Telemetry: metrics for Prometheus and spans for OpenTelemetry, as far as Prefect's users have turned these on."""
