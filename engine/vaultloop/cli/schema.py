"""`vaultloop schema`: what each kind's frontmatter may say."""

import click

from vaultloop.cli import output


@click.command(name="schema")
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """Print the JSON Schema of one KIND, or of all kinds."""
    from vaultloop.components import KINDS  # noqa: PLC0415
    from vaultloop.model.schema import schema  # noqa: PLC0415

    by_name = {known.name: known for known in KINDS}
    if kind is None:
        output.print_json({name: schema(known) for name, known in by_name.items()})
        return
    if kind not in by_name:
        raise click.UsageError(f"there is no kind {kind!r}; the kinds are {', '.join(by_name)}")
    output.print_json(schema(by_name[kind]))
