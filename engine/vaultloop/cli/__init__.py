"""The command line: one file per command, no logic.

Exit codes, the same for every command:

     0  done; for `check` and `plan`: nothing wrong, nothing to change
     1  it failed, `check`/`plan` found an error, or `explain` says no; for `chat --once` and `run` also: the
        session did not end well, or nobody answers
     2  `plan`: there are changes
    64  the command line is wrong
    66  `check`: there is no vault at that place
    69  the engine does not run, and this needs it
    75  the engine runs elsewhere and holds the state directory; try again
    78  a setting is wrong
"""

import importlib
import os
import sys
from typing import NoReturn

import click

from vaultloop import __version__
from vaultloop.cli.plain import plain

USAGE = 64
NO_VAULT = 66
UNAVAILABLE = 69
BUSY = 75
CONFIG = 78

# Command, and what it is for; its module has the same name (with `_` for `-`) and is imported when it is
# called, so that `check` never waits for what it does not use.
COMMANDS = {
    "init": "Make a vault, or add `agent/` to one that is there.",
    "up": "Run the engine until ctrl-C or TERM.",
    "check": "Check a vault's declarations.",
    "plan": "Show what would be created, updated and deleted.",
    "explain": "Say what a session may do, and which line of which note says so.",
    "status": "Show the revision, what runs, and what needs you.",
    "log": "Show the audit trail.",
    "blame": "Show who wrote each line of a note, and who asked for it.",
    "undo": "Take back what a session published.",
    "cost": "Show what sessions have cost, and what is left.",
    "chat": "Talk to the agent.",
    "run": "Run a cron once, now, beside its schedule.",
    "crons": "Show every cron's next and past slots.",
    "confirm": "Apply deletions that the engine holds back.",
    "resume": "Look again at what sync stands still for, or accept a rewritten history.",
    "rollback": "Go back to what governed the agent before.",
    "pin": "Run one revision, whatever is newer.",
    "unpin": "Go on with the newest revision.",
    "sessions": "List sessions; show one, or restore its edits.",
    "proposals": "List what agents propose; show, approve or deny it.",
    "hooks": "Make git check and merge in a clone as the engine does.",
    "doctor": "Try out what this machine can hold sessions in with.",
    "schema": "Print the JSON Schemas of the kinds.",
    "practice": "Answer one prompt without a model.",
}

# Called by programs, not by people: what the engine starts, and what a container or git asks.
FOR_PROGRAMS = frozenset({"web", "gateway", "health", "merge-driver"})


class Commands(click.Group):
    """The commands, in the order a newcomer meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name not in FOR_PROGRAMS:
            return None
        module = importlib.import_module(f"vaultloop.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vaultloop")
def vaultloop() -> None:
    """Keep a running agent equal to a vault of markdown.

    Edit a note, push, and the agent is different; `git log` says who changed it and why.

    \b
    Exit codes: 0 done, 1 failed or errors found, 2 plan has changes, 64 wrong
    usage, 66 no vault there, 69 engine not running, 75 engine busy, 78 wrong settings.
    """


def main() -> NoReturn:
    """Run the command line and exit with one of the codes above."""
    # The rules of clocks come from the package that was installed with us: the same on a laptop and on a
    # server whose system is years old.
    os.environ.setdefault("PYTHONTZPATH", "")
    from vaultloop.model.errors import VaultloopError  # noqa: PLC0415 - after click, for a quick --help

    code: int
    try:
        code = vaultloop.main(standalone_mode=False, prog_name="vaultloop")
    except click.UsageError as error:
        error.show()
        code = USAGE
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except VaultloopError as error:
        print(plain(f"vaultloop: {error}"), file=sys.stderr)
        code = _exit_code(error)
    except BrokenPipeError:
        # The reader of our output left, as `head` does.
        sys.stderr.close()
        code = 1
    sys.exit(code)


def _exit_code(error: Exception) -> int:
    from vaultloop.cli.engine import NotRunning  # noqa: PLC0415 - only when something went wrong
    from vaultloop.settings import InvalidSettings  # noqa: PLC0415
    from vaultloop.state.directory import Busy  # noqa: PLC0415
    from vaultloop.web.child import MissingExtra  # noqa: PLC0415

    codes: dict[type[Exception], int] = {
        InvalidSettings: CONFIG,
        MissingExtra: CONFIG,
        NotRunning: UNAVAILABLE,
        Busy: BUSY,
    }
    return codes.get(type(error), 1)
