"""`vaultloop cost`: what sessions have cost, by scope, trigger and model, and what is left."""

from datetime import UTC, datetime
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import records
from vaultloop.cli.options import as_json, with_settings
from vaultloop.cli.plain import counted
from vaultloop.settings import Settings

_WORDS = {"day": "Today", "month": "This month"}
_BY = ("scope", "trigger", "model")


@click.command(name="cost")
@click.option("--day", "only", flag_value="day", help="Today only.")
@click.option("--month", "only", flag_value="month", help="This month only.")
@as_json
@with_settings
def command(settings: Settings, only: str | None, *, as_json: bool) -> None:
    """Show what sessions have cost today and this month, by scope, trigger
    and model, with the limits and what is left of them."""
    from vaultloop.costs import costs  # noqa: PLC0415
    from vaultloop.state.period import Period  # noqa: PLC0415

    periods = [Period(only)] if only else list(Period)
    with records(settings) as database:
        found = costs(settings.state, database, datetime.now(UTC), periods)
    if as_json:
        output.print_json(found)
        return
    for period in periods:
        _print(_WORDS[period], found[period])


def _print(word: str, spent: dict[str, Any]) -> None:
    if not spent["requests"]:
        left = f" {_left(spent)}" if spent["limit_usd"] is not None else ""
        output.say(f"{word}: nothing was spent.{left}")
        return
    output.say(f"{word}: {_usd(spent)} in {counted(spent['requests'], 'request')}. {_left(spent)}".strip())
    rows = [row for by in _BY for row in _rows(by, spent[f"by_{by}"])]
    output.console.print(output.table(("", "", "USD", "requests", ""), rows))
    if spent["estimated"]:
        output.say("~ is in part an estimate, never below what was served: a connection broke.")
    if spent["unpriced"]:
        output.say(f"{counted(spent['unpriced'], 'request')} went to models without a known price.")


def _rows(by: str, lines: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (by if not place else "", line["name"], _usd(line, ""), str(line["requests"]), _left(line))
        for place, line in enumerate(lines)
    ]


def _usd(line: dict[str, Any], unit: str = " USD") -> str:
    return f"{'~' if line['estimated'] else ''}{line['usd']:.4f}{unit}"


def _left(line: dict[str, Any]) -> str:
    limit = line.get("limit_usd")
    return "" if limit is None else f"{line['left_usd']:.2f} of {limit:g} USD are left."
