"""What is configured once, as Prefect blocks: credentials and checkpoint stores."""

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.blocks.credentials import GlobusCredentials
from prefect_globus.blocks.file_store import FileCheckpointStore
from prefect_globus.blocks.sql_store import SqlCheckpointStore

__all__ = ["CheckpointStore", "FileCheckpointStore", "GlobusCredentials", "SqlCheckpointStore"]
