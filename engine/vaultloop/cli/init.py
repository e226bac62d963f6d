"""`vaultloop init`: a vault that declares an agent, and the engine's own key."""

import json
import shlex
from pathlib import Path

import click

from vaultloop.cli import output
from vaultloop.cli.options import as_json
from vaultloop.cli.plain import counted

SETTINGS = """\
# What this machine's engine needs to know. Every key is also a variable: poll is VAULTLOOP_POLL.
folder = {folder}
state = {state}
branch = {branch}
"""


@click.command(name="init")
@click.argument("vault", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--bare-remote", type=click.Path(path_type=Path), help="Also make a bare repository there and push."
)
@click.option(
    "--state",
    envvar="VAULTLOOP_STATE",
    type=click.Path(path_type=Path),
    help="State directory of the engine.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Where to write vaultloop.toml.")
@click.option("--branch", help="The branch that is the vault; without it the one that is checked out there.")
@as_json
def command(
    vault: Path,
    bare_remote: Path | None,
    state: Path | None,
    config: Path | None,
    branch: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a vault at VAULT (`.` for here), or add `agent/` to the one there.

    Touches no other note and overwrites nothing; calling it again goes on
    where it stopped.
    """
    from vaultloop.settings import FILE_NAME, default_state  # noqa: PLC0415
    from vaultloop.state.directory import StateDirectory  # noqa: PLC0415
    from vaultloop.vault import scaffold  # noqa: PLC0415
    from vaultloop.vault.git.signing import Signer  # noqa: PLC0415

    vault = vault.absolute()
    directory = StateDirectory((state or default_state()).absolute())
    settings = (config or directory.path / FILE_NAME).absolute()
    _refuse_another_vault(settings, vault)
    directory.make()
    branch = scaffold.branch_of(vault, branch)
    vault.mkdir(parents=True, exist_ok=True)
    done = scaffold.write_template(vault)
    commit = scaffold.commit_template(vault, done, branch)
    remote = None if bare_remote is None else bare_remote.absolute()
    if remote is not None:
        scaffold.make_bare_remote(remote, vault, branch)
    signer = Signer.make(directory.path)
    _write_settings(settings, vault, directory.path, branch, remote)
    result: dict[str, object] = {
        "vault": str(vault),
        "written": done.written,
        "kept": done.kept,
        "runs": done.runs,
        "paused": done.paused,
        "commit": commit,
        "remote": str(remote) if remote else None,
        "settings": str(settings),
        "key": signer.public_key,
    }
    output.print_json(result) if as_json else _tell(result)


def _refuse_another_vault(settings: Path, vault: Path) -> None:
    """One engine serves one vault, and its settings name it."""
    from vaultloop.settings import InvalidSettings, folder_in  # noqa: PLC0415

    there = folder_in(settings)
    if there is not None and there.resolve() != vault.resolve():
        raise InvalidSettings(
            f"{settings} is for the vault {there}. Give {vault} an engine of its own: add "
            f"`--state DIR` with a new directory."
        )


def _write_settings(path: Path, vault: Path, state: Path, branch: str, remote: Path | None) -> None:
    if path.exists():
        return
    text = SETTINGS.format(folder=_quoted(vault), state=_quoted(state), branch=_quoted(branch))
    if remote is not None:
        text += f"remote = {_quoted(remote)}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _quoted(value: object) -> str:
    # What JSON writes between quotes, TOML reads the same.
    return json.dumps(str(value), ensure_ascii=False)


def _tell(result: dict[str, object]) -> None:
    written = result["written"]
    assert isinstance(written, list)
    lines = [f"Vault     {result['vault']}  ({counted(len(written), 'new file')})"]
    if result["remote"]:
        lines.append(f"Remote    {result['remote']}")
    lines += [
        f"Settings  {result['settings']}",
        "Signing   the engine's own key is ready; its commits are signed with it",
        *_listed("Will run", result["runs"]),
        *_listed("Paused, until you remove `paused: true` from the note", result["paused"]),
        "",
        f"Next: vaultloop up --config {shlex.quote(str(result['settings']))}",
    ]
    output.console.print("\n".join(lines), markup=False)


def _listed(title: str, notes: object) -> list[str]:
    assert isinstance(notes, list)
    return ["", f"{title}:", *(f"  {note}" for note in notes)] if notes else []
