"""`python -m prefect_globus.emulator`: the emulator without Prefect."""

import click

from prefect_globus.emulator.command import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a local Globus."""


main.add_command(serve)

if __name__ == "__main__":
    main(prog_name="python -m prefect_globus.emulator")
