"""In ETL: transfer, validate, and load a catalogue of what has arrived into a database."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

from prefect import flow, runtime
from prefect.logging import get_run_logger

from prefect_globus.flows.blocks import find_checkpoints, find_connector
from prefect_globus.flows.parameters import (
    Checkpoints,
    Credentials,
    Destination,
    NewTransferId,
    Options,
    Source,
    titled,
)
from prefect_globus.flows.prefect_state import transfer_id_of
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.flows.verify import verify_transfer
from prefect_globus.tasks.cataloguing import Catalogue, load_catalogue
from prefect_globus.transfers.errors import DeliveryDiffersError
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.result import TransferResult


class Catalogued(Record):
    """What `transfer_and_catalogue` has done.

    Args:
        transfer: how the transfer ended.
        table: where the catalogue is.
        rows: how many rows of it are of this transfer.
    """

    transfer: TransferResult
    table: str
    rows: int


def _run_name() -> str:
    parameters = runtime.flow_run.get_parameters()
    return f"{parameters.get('transfer_id') or parameters['source']} into {parameters['table']}"


@flow(name="transfer-and-catalogue", flow_run_name=_run_name)
def transfer_and_catalogue(
    source: Source,
    destination: Destination,
    database: Annotated[str, titled("Database")],
    table: Annotated[str, titled("Table")] = "catalogue",
    options: Options = None,
    transfer_id: NewTransferId = None,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> Catalogued:
    """Transfer, compare the destination with what was delivered, then load a catalogue of that into a database.

    Run it again with the same id to go on where it was cut off; the rows of a transfer are replaced, never doubled.
    The table is made when it is not there. It has a row for each item at the destination: transfer_id, batch,
    position, path, location, type, size (bytes), mtime (seconds since 1970), moved (by this transfer, rather than there
    before), and the task_id at Globus where one task is known to have moved it.

    Args:
        source: What to transfer, a file or a directory, as COLLECTION_UUID:/path.
            For example: 6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/home/share/godata
        destination: Where to, as COLLECTION_UUID:/path; what the source contains will be in this directory.
            For example: 31ce9ba0-176d-45a5-add3-f37d233ba47d:/~/backup
        database: Name of a SqlAlchemyConnector block of prefect-sqlalchemy. For example: warehouse
        table: Name of the table, or SCHEMA.TABLE; several transfers may share one. For example: raw.files
        options: How it is transferred. A transfer that is resumed without any keeps those that it has.
        transfer_id: Names the transfer. One that is on record under this name is resumed. When left out it is made from
            the flow run's id. For example: backup-20261122
        credentials: The login to Globus: a saved block or its name. When left out GLOBUS_CLIENT_ID and
            GLOBUS_CLIENT_SECRET where the run is, or else the login of prefect-globus login there.
            For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Raises:
        InvalidInputError: the input will not do; nothing has moved.
        CatalogueError: the database cannot be reached, which is found out before anything moves, or refuses the rows.
        DeliveryDiffersError: the destination is not as it was delivered; nothing was loaded.
        TransferError: as `resumable_transfer`.
    """
    with closing(Catalogue(find_connector(database), database, table)) as catalogue:
        store = find_checkpoints(checkpoints)
        result: TransferResult = resumable_transfer(
            source,
            destination,
            options=options,
            transfer_id=transfer_id or transfer_id_of(runtime.flow_run.id),
            credentials=credentials,
            checkpoints=checkpoints,
        )
        verification = verify_transfer(result.id, limit=1, credentials=credentials, checkpoints=checkpoints)
        if not verification.ok:
            raise DeliveryDiffersError(
                transfer_id=result.id,
                differing=verification.items_differing,
                delivered=verification.items_delivered,
                first=verification.differences[0].path,
            )
        rows = load_catalogue(result.id, catalogue, store)
    get_run_logger().info("%s is in %s with %s rows", result.id, table, rows)
    return Catalogued(transfer=result, table=table, rows=rows)
