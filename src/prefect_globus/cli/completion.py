"""The command `completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from prefect_globus.cli.help import command

PROGRAM = "prefect-globus"
_VARIABLE = "_PREFECT_GLOBUS_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@command(
    examples=[
        ("In bash: add this line to ~/.bashrc", 'eval "$(prefect-globus completion bash)"'),
        ("In zsh: add this line to ~/.zshrc", 'eval "$(prefect-globus completion zsh)"'),
        (
            "In fish",
            "prefect-globus completion fish > ~/.config/fish/completions/prefect-globus.fish",
        ),
    ]
)
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Have your shell complete commands, options and ids.

    It prints what SHELL is to read, which is bash, zsh or fish. Ids are read from the database; those of a store that
    is a Prefect block are not completed.
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(made(context.find_root().command, {}, PROGRAM, _VARIABLE).source())
