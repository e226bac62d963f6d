"""`vaultloop practice`: the built-in agent that needs no key."""

import sys

import click


@click.command(name="practice")
def command() -> None:
    """Answer one prompt (standard input) in the current folder, without a model.

    The practice agent gathers open tasks, appends to notes and answers simple
    questions. A vault names it in its `defaults` note; you can try it by hand:

        echo "What is open?" | vaultloop practice
    """
    from vaultloop.runners import practice  # noqa: PLC0415

    sys.exit(practice.main())
