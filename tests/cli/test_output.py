"""What a plan and a listing show of long texts."""

import pytest

from vaultloop.cli import output
from vaultloop.cli.sessions import DETAIL, _in_short


def change(old: object, new: object) -> dict[str, object]:
    field = {"field": "body", "old": old, "new": new}
    return {
        "action": "update",
        "kind": "rule",
        "name": "kind",
        "file": "agent/rules/kind.md",
        "fields": [field],
        "permissions": [],
    }


def shown(capsys: pytest.CaptureFixture[str], old: object, new: object) -> str:
    output.print_change(change(old, new))
    return capsys.readouterr().out.splitlines()[1].strip()


def test_short_values_are_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, None, "Be kind.") == "body: (nothing) -> Be kind."
    assert shown(capsys, 3, ["a", "b"]) == 'body: 3 -> ["a", "b"]'


def test_of_long_texts_the_first_difference_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    same = "Gather what is open and say it in few words. " * 4
    old, new = shown(capsys, same + "Be kind.", same + "Be brief. " + "And " * 50).split(" -> ")
    assert old == "body: ...it in few words. Be kind."
    assert new.startswith("...it in few words. Be brief. And")
    assert (len(new), new[-3:]) == (output.LONGEST_VALUE, "...")


def test_of_a_detail_the_beginning_of_its_first_line_is_listed() -> None:
    assert _in_short("It failed.\nMore of it.") == "It failed."
    assert len(_in_short("again and " * 20)) == DETAIL
