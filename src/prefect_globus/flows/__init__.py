"""What Prefect users run: the resumable transfer, and the calls that control it."""
