"""`vaultloop merge-driver`: git calls it to join one file; `vaultloop hooks install` tells it so."""

import sys

import click


@click.command(name="merge-driver", hidden=True)
@click.argument("base")
@click.argument("ours")
@click.argument("theirs")
@click.argument("path")
def command(base: str, ours: str, theirs: str, path: str) -> None:
    """Join the files BASE, OURS and THEIRS, which lie at PATH in the vault; the result is put into OURS.

    Exits 0 if OURS has the result, and 1 if a person must decide.
    """
    from vaultloop.vault.merge.called import main  # noqa: PLC0415 - as every command

    sys.exit(main([base, ours, theirs, path]))
