"""`vaultloop check`: what is wrong in the vault's notes, all at once."""

import os
import sys
from pathlib import Path

import click

from vaultloop.cli import output
from vaultloop.cli.options import as_json


@click.command(name="check")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@as_json
def command(path: Path | None, *, as_json: bool) -> None:
    """Check the declarations of the vault at PATH (default: here).

    Exits 1 if there is an error; warnings alone do not count.
    """
    from vaultloop.components import KINDS  # noqa: PLC0415
    from vaultloop.vault.effort import Effort  # noqa: PLC0415
    from vaultloop.vault.loader import Loader  # noqa: PLC0415
    from vaultloop.vault.plain_folder import FolderFiles  # noqa: PLC0415

    vault = path or Path(os.environ.get("VAULTLOOP_FOLDER") or Path.cwd())
    if not vault.is_dir():
        raise click.UsageError(f"{vault} is not a folder")
    snapshot = Loader(KINDS, Effort()).load(FolderFiles(vault))
    if as_json:
        output.print_json({"problems": [problem.as_json() for problem in snapshot.problems]})
    else:
        for problem in snapshot.problems:
            output.print_problem(problem, _source(vault / problem.file))
        output.console.print(_summary(len(snapshot.resources), snapshot.problems, len(snapshot.errors)))
    sys.exit(1 if snapshot.errors else 0)


def _source(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _summary(resources: int, problems: tuple[object, ...], errors: int) -> str:
    found = output.counted(resources, "declaration")
    if not problems:
        return f"{found}, no problems."
    warnings = output.counted(len(problems) - errors, "warning")
    return f"{found}, {output.counted(errors, 'error')}, {warnings}."
