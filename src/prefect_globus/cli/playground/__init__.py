"""A place to try things out: Prefect with its UI, a worker, and a local Globus with sample collections."""
