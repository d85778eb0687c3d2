"""Faults on demand: what a request or a task shall meet, over HTTP and from Python."""
