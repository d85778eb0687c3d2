"""The domain of a resumable transfer, pure Python: no Prefect, no HTTP, no SQL."""
