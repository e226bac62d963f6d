import random

import pytest

from support import edits
from support.versions import agent, human
from vaultloop.vault.merge.audit import AuditError, audit
from vaultloop.vault.merge.note import merge_note

BASE = "---\ntags: [a]\nstatus: open\n---\n# T\n\none\ntwo\n\n- [ ] buy milk\n"
ONE = BASE.replace("one", "1").replace("[ ]", "[x]").replace("[a]", "[a, b]")
OTHER = BASE.replace("two", "2").replace("buy", "please buy").replace("open", "done")
RESULT = (
    BASE.replace("one", "1")
    .replace("two", "2")
    .replace("[ ] buy", "[x] please buy")
    .replace("[a]", "[a, b]")
    .replace("open", "done")
)


def check(result: str, *, lost: str = "") -> None:
    audit(BASE.encode(), ONE.encode(), OTHER.encode(), result.encode(), lost=lost.encode())


def test_a_merge_with_everything_of_both_passes() -> None:
    check(RESULT)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1\n", "", "lose the line `1`"),
        ("2\n", "two\n", "bring back the deleted line `two`"),
        ("# T\n", "", "lose the line `# T`"),
        ("1\n", "1\none\n", "bring back the deleted line `one`"),
        ("1\n", "1\n1\n", "double the line `1`"),
        ("1\n", "1\nthree\n", "make up the line `three`"),
        ("1\n", "1\n<<<<<<< HEAD\n", "leave the conflict marker"),
        ("[x] please", "[ ] please", r"`- \[x\] buy milk`"),
        ("[a, b]", "[a]", "the property `tags`|lose `b`"),
        ("status: done", "status: open", "the property `status`|lose `done`"),
        ("status: done\n", "", "the property `status`|lose `done`"),
        ("status: done\n", "status: done\nnew: 1\n", "bring back the property `new`"),
    ],
)
def test_what_is_missing_came_back_or_was_made_up_is_named(old: str, new: str, told: str) -> None:
    with pytest.raises(AuditError, match=told):
        check(RESULT.replace(old, new, 1))


def test_a_line_in_a_callout_or_beside_the_file_is_not_lost() -> None:
    check(RESULT.replace("1\n", "") + "\n> [!conflict]- agent\n> 1\n")
    check(RESULT.replace("1\n", ""), lost="1\n")


def test_a_line_in_any_other_quote_is_lost() -> None:
    with pytest.raises(AuditError, match="lose the line `1`"):
        check(RESULT.replace("1\n", "") + "\n> 1\n")


def test_properties_that_yaml_cannot_read_are_counted_as_lines() -> None:
    broken = BASE.replace("open", "a: b: c")
    with pytest.raises(AuditError, match="status: a: b: c"):
        audit(BASE.encode(), broken.encode(), OTHER.encode(), OTHER.encode())


def test_any_line_taken_out_of_a_random_merge_is_missed() -> None:
    missed = 0
    for seed in range(150):
        dice = random.Random(seed)
        base = edits.note(edits.Writer("b", dice))
        one, other = (edits.data(edits.edited(base, edits.Writer(name, dice), 3)) for name in "XY")
        before = edits.data(base)
        lines = merge_note(before, human(one), agent(other), declaration=False).data.decode().split("\n")
        news = [
            at
            for at, line in enumerate(lines)
            if set(line.split()) & _words(one, other) and line[0] not in ">-"
        ]
        for at in news[:3]:
            torn = "\n".join(lines[:at] + lines[at + 1 :]).encode()
            with pytest.raises(AuditError):
                audit(before, one, other, torn)
            missed += 1
    assert missed > 100


def _words(*sides: bytes) -> set[str]:
    words = {word for data in sides for word in data.decode().split()}
    return {word for word in words if word[0] in "XY" and word[1:].isdigit()}
