"""Transfer, compare the destination with what was delivered, and load a catalogue of it into a database.

The database is configured once, as a SqlAlchemyConnector block of prefect-sqlalchemy. Run it with
`python examples/etl_catalogue.py`.
"""

from __future__ import annotations

from playground import playground
from prefect_sqlalchemy import SqlAlchemyConnector  # type: ignore[import-untyped]
from sqlalchemy import create_engine, text

from prefect_globus import transfer_and_catalogue

BLOCK = "prefect-globus-example"
QUERY = text("SELECT count(*), sum(size), count(DISTINCT batch), count(DISTINCT task_id) FROM files")


if __name__ == "__main__":
    with playground() as place:
        url = f"sqlite:///{place.folder / 'catalogue.db'}"
        SqlAlchemyConnector(connection_info=url).save(BLOCK, overwrite=True)
        for attempt in ("loaded", "loaded again"):
            result = transfer_and_catalogue(
                place.source, place.destination, database=BLOCK, table="files", transfer_id="nightly"
            )
            print(f"{result.transfer.id} is {result.transfer.status}; {result.rows} rows {attempt}.")
        with create_engine(url).connect() as connection:
            files, size, batches, tasks = connection.execute(QUERY).one()
        print(f"The catalogue has {files} files of {size} bytes, in {batches} batch by {tasks} Globus task.")
