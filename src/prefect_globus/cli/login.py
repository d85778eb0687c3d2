"""The commands `login`, `logout` and `whoami`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from prefect_globus.cli.help import command
from prefect_globus.cli.output import Done, say
from prefect_globus.cli.sessions import loading
from prefect_globus.cli.state import State, credentials_option, output_options
from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.logins import LoginStatus, ServiceLogin

_token_file_option = click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="PREFECT_GLOBUS_TOKEN_FILE",
    show_envvar=True,
    help="Where the tokens are kept, readable for you only. By default a file in your data folder.",
)


@command(
    examples=[
        ("As a user, with the id of a native app of yours", "prefect-globus login --client-id $CLIENT_ID"),
        ("And consent to the use of a collection's data", "prefect-globus login --collection $ARCHIVE"),
    ]
)
@click.option("--client-id", envvar="GLOBUS_CLIENT_ID", show_envvar=True, help="A native app that you have registered.")
@click.option(
    "--collection",
    "collections",
    metavar="UUID",
    multiple=True,
    help="Consent to the use of this collection's data, if it asks for that. May be repeated.",
)
@click.option("--block", metavar="NAME", help="Keep the login in a Prefect block, for runs on other machines.")
@_token_file_option
@click.option("--no-renew", is_flag=True, help="Have the login end when its tokens expire, instead of renewing them.")
@click.option("--no-browser", is_flag=True, help="Only print the address; open no browser.")
@output_options
@click.pass_obj
def login(
    state: State,
    client_id: str | None,
    collections: tuple[str, ...],
    block: str | None,
    token_file: Path | None,
    *,
    no_renew: bool,
    no_browser: bool,
) -> None:
    """Log in to Globus as a user, in a browser.

    That may be one of another machine. It prints an address to open, and takes the code that the page shows in the end.
    Transfers and Timers use the login from then on, where neither a block nor GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET
    name another.
    """
    with loading(state, blocks=block is not None):
        from prefect_globus.flows.login import log_in  # noqa: PLC0415
        from prefect_globus.flows.login_status import login_status  # noqa: PLC0415

        def ask(why: str, address: str) -> str:
            return _ask(why, address, has_browser=not no_browser)

        credentials = log_in(ask, client_id, collections, token_file, block, renews=not no_renew)
        status = login_status(credentials)
        say(status, state, *_lines(status))


@command(examples=[("For good", "prefect-globus logout")])
@_token_file_option
@output_options
@click.pass_obj
def logout(state: State, token_file: Path | None) -> None:
    """Revoke the tokens of the login, and delete them."""
    with loading(state, blocks=False):
        from prefect_globus.flows.login import log_out  # noqa: PLC0415

        client_id = log_out(token_file)
    words = f"The tokens of client {client_id} are revoked and deleted"
    say(Done(id=client_id, done="logged out"), state, words)


@command(
    examples=[
        ("Does the login work?", "prefect-globus whoami"),
        ("And that of a block?", "prefect-globus whoami --credentials lab"),
    ]
)
@_token_file_option
@credentials_option
@output_options
@click.pass_obj
def whoami(state: State, token_file: Path | None) -> None:
    """Show who is logged in, until when, and with which consents.

    The exit status is 0 if the login works.
    """
    if token_file is not None and state.credentials is not None and _given("token_file"):
        raise InvalidInputError(reason="--token-file and --credentials each name a login: give one of them")
    with loading(state, blocks=state.credentials is not None):
        from prefect_globus.blocks import GlobusCredentials  # noqa: PLC0415
        from prefect_globus.flows.login_status import login_status  # noqa: PLC0415

        file_login = GlobusCredentials(token_file=token_file) if _given("token_file") else None
        status = login_status(file_login or state.credentials)
        say(status, state, *_lines(status))


def _given(parameter: str) -> bool:
    """Whether a parameter stands on the command line."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def _ask(why: str, address: str, *, has_browser: bool) -> str:
    """Have a person open ``address``, and return the code that the page shows."""
    click.echo(f"{why}: open this address, and paste the code that you are shown.\n\n{address}\n", err=True)
    if has_browser and sys.stdin.isatty() and not os.environ.get("SSH_CONNECTION"):
        click.launch(address)
    try:
        return str(click.prompt("Code", err=True))
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise InvalidInputError(reason="no code was given, so nobody is logged in") from None


def _lines(status: LoginStatus) -> Iterator[str]:
    """What a person reads."""
    client = f", client {status.client_id}" if status.client_id else ""
    yield f"{status.username or 'Logged in'}, by {status.how}{client}"
    for service in status.services:
        yield f"  {service.service:<9} {_lasts(service)}"
        for collection in service.consents:
            yield f"            may use the data of {collection}"


def _lasts(service: ServiceLogin) -> str:
    if service.renews:
        return "renewed by itself"
    return f"until {service.expires_at:%Y-%m-%d %H:%M} UTC" if service.expires_at else "until its token expires"
