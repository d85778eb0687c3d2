"""Resumable Globus transfers for Prefect."""
