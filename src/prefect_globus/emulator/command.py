"""The `serve` command."""

from __future__ import annotations

import ipaddress
import json
import uuid
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from prefect_globus.emulator.app import build_app
from prefect_globus.emulator.auth.tokens import ACCESS_SECONDS
from prefect_globus.emulator.collections.model import CollectionSpec
from prefect_globus.emulator.collections.registry import CollectionRegistry
from prefect_globus.emulator.collections.shape import ShapeError, is_shape, parse_shape
from prefect_globus.emulator.database import Database, StateError
from prefect_globus.emulator.limits import LARGEST_LISTING, Network
from prefect_globus.emulator.process import state_file
from prefect_globus.emulator.server import Server, listen, stop_when_stdin_closes
from prefect_globus.emulator.site import Site
from prefect_globus.emulator.tasks.model import Policy
from prefect_globus.emulator.tasks.submission import canonical_uuid

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

LARGEST_SCALE = 1e9  # at which a day lasts 86 microseconds
NAMESPACE = uuid.UUID("5d1f5a4e-43a4-5c5e-9c0b-0d0f1f1c7b11")


class Refusal(click.ClickException):
    """The command cannot be done as asked; the message says what to do."""

    exit_code = 2


class Wanted(NamedTuple):
    """A `--collection` as it was given."""

    name: str
    uuid: str | None
    content: str


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8911, show_default=True, help="0 picks a free port.")
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME[@UUID]=DIR",
    help="Serve a folder as a collection, or a tree that is stored nowhere: NAME=synthetic:files=1000,dirs=10,size=1MiB"
    " (also depth=, rate=, seed=, largest=, changed=). May be repeated. Default: those of the state file.",
)
@click.option(
    "--data-access",
    multiple=True,
    metavar="NAME",
    help="Make a collection need the data_access consent. May be repeated.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps collections, tasks and tokens. Default: nothing is kept.",
)
@click.option(
    "--time-scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Make every wait and deadline of Globus X times shorter.",
)
@click.option(
    "--client",
    metavar="ID:SECRET",
    envvar="PREFECT_GLOBUS_EMULATOR_CLIENT",
    show_envvar=True,
    help="The only client that gets a token. Default: any.",
)
@click.option(
    "--latency", type=click.IntRange(0, 60_000), default=0, metavar="MS", help="Milliseconds that each request waits."
)
@click.option(
    "--requests-per-second",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Requests a second that a user may make of the Transfer API, metered over 10 s. Default: no limit.",
)
@click.option(
    "--listing-limit",
    type=click.IntRange(min=1),
    default=LARGEST_LISTING,
    show_default=True,
    metavar="N",
    help="Entries of a directory, above which listing it is refused; it can still be transferred.",
)
@click.option(
    "--token-lifetime",
    type=click.IntRange(min=1),
    default=ACCESS_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long an access token is good. The time scale leaves it as it is, as clients count it in real seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Say where it is in JSON, in one line.")
@click.option("--rate", type=click.IntRange(min=0), default=0, hidden=True, help="Bytes per second of one task.")
@click.option("--file-delay", type=click.FloatRange(min=0), default=0.0, hidden=True, help="Seconds before each file.")
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop when standard input ends.")
def serve(
    host: str,
    port: int,
    collections: tuple[str, ...],
    data_access: tuple[str, ...],
    state: Path | None,
    time_scale: float,
    client: str | None,
    latency: int,
    requests_per_second: int,
    listing_limit: int,
    token_lifetime: int,
    as_json: bool,
    rate: int,
    file_delay: float,
    until_stdin_closes: bool,
) -> None:
    """Serve folders as Globus collections, on this machine only.

    Set GLOBUS_SDK_SERVICE_URL_TRANSFER, GLOBUS_SDK_SERVICE_URL_AUTH and GLOBUS_SDK_SERVICE_URL_TIMER to the URL that is
    printed, and globus-sdk and globus-cli talk to it. In a browser it shows what goes on. Ctrl-C ends it.
    """
    host = _loopback(host)
    if not time_scale <= LARGEST_SCALE:  # nor is nan
        raise Refusal(f"--time-scale {time_scale} is not up to {LARGEST_SCALE:,.0f}. Use one such as --time-scale 100.")
    credentials = _client(client)
    wanted = [_wanted(text) for text in collections]
    network = Network(latency / 1000, requests_per_second, listing_limit)
    policy = Policy(scale=time_scale, rate=rate, file_delay=file_delay)
    with state_file(state) as path, closing(_database(path)) as database:
        registry = CollectionRegistry(database)
        served = _consented(_served(wanted, registry.all()), data_access)
        listener = _listen(host, port)
        registry.save(served)
        address = f"[{host}]" if ":" in host else host
        url = f"http://{address}:{listener.getsockname()[1]}"
        site = Site.of(database, served, policy, credentials, network, token_lifetime)
        server = Server(build_app(site), lambda: _announce(url, served, as_json=as_json))
        if until_stdin_closes:
            stop_when_stdin_closes(server)
        server.run(sockets=[listener])


def _announce(url: str, collections: Sequence[CollectionSpec], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"url": url, "collections": [asdict(one) for one in collections]}))
        return
    lines = [f"Globus emulator ready at {url}", *(f"  {one.name}  {one.uuid}  {one.content}" for one in collections)]
    click.echo("\n".join(lines))


def _loopback(host: str) -> str:
    """Return the address of a host. Raises Refusal if it is not of this machine only."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise Refusal(f"{host} is not a loopback address. Use --host 127.0.0.1, or leave --host out.")
    return address


def _client(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    client_id, _, secret = text.partition(":")
    if not client_id or not secret:
        raise Refusal("--client must be ID:SECRET, for example --client my-client:my-secret.")
    return client_id, secret


def _wanted(text: str) -> Wanted:
    head, equals, content = text.partition("=")
    name, at, identifier = head.partition("@")
    if not (equals and name and content):
        raise Refusal(f"--collection {text!r} must be NAME=DIR or NAME@UUID=DIR.")
    known = canonical_uuid(identifier) if at else None
    if at and known is None:
        raise Refusal(f"--collection {text!r}: {identifier!r} is not a UUID. Leave it out to have one made.")
    return Wanted(name, known, _content(text, content))


def _content(text: str, content: str) -> str:
    """Return what a collection is to hold: a shape as it is, a folder by its real path."""
    if is_shape(content):
        try:
            parse_shape(content)
        except ShapeError as error:
            raise Refusal(f"--collection {text!r}: {error}") from error
        return content
    real = Path(content).expanduser().resolve()
    if real.exists() and not real.is_dir():
        raise Refusal(f"--collection {text!r}: {content} is not a folder. Give the folder that holds it.")
    if not real.is_dir():
        raise Refusal(f"--collection {text!r}: there is no folder {content}. Make it first.")
    return str(real)


def _served(wanted: Sequence[Wanted], recorded: Sequence[CollectionSpec]) -> list[CollectionSpec]:
    """Return what to serve: the collections of the state, and those that were asked for, which take their place.

    A name keeps the UUID that the state has for it, because tasks of the state refer to it.
    """
    uuids = {one.name: one.uuid for one in recorded}
    asked: dict[str, CollectionSpec] = {}
    for name, given, content in wanted:
        identifier = given or uuids.get(name) or str(uuid.uuid5(NAMESPACE, f"{name}\0{content}"))
        if name in asked:
            raise Refusal(f"Collection {name} is given twice. Give each collection a name of its own.")
        if name in uuids and uuids[name] != identifier:
            raise Refusal(f"Collection {name} has UUID {uuids[name]} in this state. Leave the UUID out.")
        asked[name] = CollectionSpec(name, identifier, content)
    served = list(({one.name: one for one in recorded} | asked).values())
    if not served:
        raise Refusal("There is nothing to serve. Add --collection NAME=DIR.")
    for one in served:
        if not is_shape(one.content) and not Path(one.content).is_dir():
            raise Refusal(
                f"The folder of collection {one.name} is gone: {one.content}. Give --collection {one.name}=DIR."
            )
    if len({one.uuid for one in served}) < len(served):
        raise Refusal("Two collections have the same UUID. Give each collection a UUID of its own.")
    return served


def _consented(collections: Sequence[CollectionSpec], names: Sequence[str]) -> list[CollectionSpec]:
    """Return the collections, of which those named need the data_access consent, as those of the state that did."""
    unknown = sorted(set(names) - {one.name for one in collections})
    if unknown:
        raise Refusal(f"--data-access {unknown[0]}: there is no collection of this name. Add --collection.")
    return [replace(one, data_access=one.data_access or one.name in names) for one in collections]


def _database(path: Path) -> Database:
    try:
        return Database(path)
    except StateError as error:
        raise Refusal(str(error)) from error


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(
            f"Cannot listen on {host}:{port}: {reason}. Choose another port, or --port 0 for a free one."
        ) from error
