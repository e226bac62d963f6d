"""Every field of every kind, given what it cannot take: answered in its place with a cure, never a crash."""

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin

import pytest

from support.folders import example
from vaultloop.components import KINDS
from vaultloop.model.problem import Fix, Problem
from vaultloop.model.resource import Kind
from vaultloop.vault.notes.declaration import declared

BY_NAME = {kind.name: kind for kind in KINDS}
FIELDS = [(kind, key) for kind in KINDS for key in kind.spec.frontmatter()]
every_field = pytest.mark.parametrize(
    ("kind", "key"), FIELDS, ids=[f"{kind.name}-{key}" for kind, key in FIELDS]
)

# What no field takes.
NESTED = {
    "keys below it": "\n  a: b",
    "keys in braces": "{a: b}",
    "a list in a list": "\n  - - a\n    - b",
    "a list of keys": "\n  - a: b\n    c: d",
}
# What some fields take and others do not.
ODD = [
    *(
        "[]",
        "[a, b]",
        "true",
        "-5",
        "0",
        "1e3",
        "12:30",
        "2026-02-30",
        "x y",
        "@x",
        "**",
        "*",
        "~",
        '""',
        "../x",
    ),
    *(
        "[[x]]",
        "[[]]",
        "{{x}}",
        "#x",
        "- x",
        "x: y",
        "'",
        "x" * 3000,
        "\u202e",
        "٣",
        "\n  - a\n  - b",
        "|\n  a\n  b",
    ),
    *(
        "https://user@example.org",
        "http://[::1",
        "99999999999999999999",
        "1m1m1m",
        "NaN",
        "inf",
        "on",
        "null",
    ),
]


# What is nearly right.
NEAR = [
    *(
        "1,50",
        "1k",
        "5",
        "1 000",
        "Berlin",
        "claud",
        "tru",
        "Anyone",
        "owner, owner",
        "-1234567890",
        "1001234567890",
    ),
    *(
        '[a, "b]',
        "[[a]], [[b]]",
        "[[a",
        "http://x.org",
        "x.org:443",
        "api.*.x.org",
        "/srv/x",
        "a\\b",
        "a, b",
        "- a - b",
    ),
    *(
        "[/status, canel]",
        "mcp__a__b",
        "2026-11-22",
        '"x";',
        'x "y" z',
        "a # b",
        "#b",
        "!a",
        "&a",
        "`x`",
        "“x”",
        "x:y",
    ),
]


def with_value(kind: Kind[Any], key: str, value: str) -> str:
    """The kind's example with `value` in `key`, which stands in its third line."""
    head, _, body = example(kind).removeprefix("---\n").partition("\n---\n")
    kept = re.sub(rf"^{re.escape(key)}:.*\n(?:[ -].*\n)*", "", head + "\n", flags=re.MULTILINE)
    kind_line, _, others = kept.partition("\n")
    return f"---\n{kind_line}\n{key}: {value}\n{others}---\n{body}"


def problems(kind: Kind[Any], key: str, value: str) -> tuple[Problem, ...]:
    """What is wrong with the note by itself."""
    return declared("agent/note.md", "", with_value(kind, key, value).encode(), BY_NAME).problems


@every_field
def test_the_example_is_valid_whatever_field_stands_first(kind: Kind[Any], key: str) -> None:
    found = re.search(rf"^{key}: (.+)$", example(kind), re.MULTILINE)
    if found is not None:
        told = problems(kind, key, found[1])
        assert [problem for problem in told if problem.is_error] == []


@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED)
@every_field
def test_what_is_nested_is_refused_in_its_place(kind: Kind[Any], key: str, value: str) -> None:
    told = problems(kind, key, value)
    mine = [problem for problem in told if 3 <= problem.line <= 3 + value.count("\n")]
    assert [problem.code for problem in mine] == ["wrong-type"]
    assert mine[0].is_error
    assert mine[0].cure


@every_field
def test_two_values_are_refused_where_one_is_meant(kind: Kind[Any], key: str) -> None:
    told = [p for p in problems(kind, key, "[a, b]") if p.line == 3 and p.is_error]
    if is_list(kind.spec.frontmatter()[key].annotation):
        assert "wrong-type" not in {problem.code for problem in told}
    else:
        assert [problem.code for problem in told] == ["wrong-type"]


def is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(is_list(part) for part in get_args(annotation))


@every_field
def test_whatever_it_is_given_each_finding_has_a_place_a_cure_and_does_not_repeat_the_value_at_length(
    kind: Kind[Any], key: str
) -> None:
    for value in ODD:
        lines = with_value(kind, key, value).split("\n")
        for problem in problems(kind, key, value):
            assert problem.cure, problem
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
            assert "Traceback" not in problem.message
            assert "validation error" not in problem.message
            assert problem.code != "wrong-type" or "None" not in problem.message


@every_field
def test_making_the_edit_that_is_proposed_makes_the_problem_go_away(kind: Kind[Any], key: str) -> None:
    for value in [*ODD, *NEAR, *NESTED.values()]:
        lines = with_value(kind, key, value).split("\n")
        for problem in problems(kind, key, value):
            if problem.fix is not None:
                left = declared("agent/note.md", "", edited(lines, problem.fix).encode(), BY_NAME).problems
                assert problem not in left


def edited(lines: Sequence[str], fix: Fix) -> str:
    at = fix.line if fix.old is None else fix.line - 1
    assert fix.old in {None, lines[at]}
    return "\n".join([*lines[:at], fix.new, *lines[fix.line :]])


WRONG = {
    "bool": ("maybe", "2", "2026-11-22"),
    "timedelta": ("soon", "5", "-5m", "99999d", "1.5h"),
    "float": ("much", "1,50", "-3", "1e3"),
    "int": ("many", "-3", "1.5", "2k", "1e3"),
    "datetime": ("tomorrow", "2026-02-30 09:00", "2026-11-22"),
}


def meaning(annotation: Any) -> str | None:
    if is_list(annotation):
        return None
    text = str(annotation)
    return next(
        (word for word in ("bool", "timedelta", "datetime", "float", "int") if f"{word}" in text), None
    )


TYPED = [(kind, key) for kind, key in FIELDS if meaning(kind.spec.frontmatter()[key].annotation)]


@pytest.mark.parametrize(("kind", "key"), TYPED, ids=[f"{kind.name}-{key}" for kind, key in TYPED])
def test_a_word_is_no_number_no_time_and_no_flag(kind: Kind[Any], key: str) -> None:
    annotation = meaning(kind.spec.frontmatter()[key].annotation)
    assert annotation is not None
    for value in WRONG[annotation]:
        told = [p for p in problems(kind, key, value) if p.line == 3]
        assert [problem.is_error for problem in told] == [True], (value, told)
        assert told[0].cure


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_key_that_no_kind_has_is_a_warning_and_one_of_another_kind_names_that_kind(kind: Kind[Any]) -> None:
    [problem] = [problem for problem in problems(kind, "colour", "blue") if problem.line == 3]
    assert (problem.code, problem.is_error) == ("unknown-key", False)
    assert problem.cure == "Write `x-colour: blue` if it is a note to yourself, or delete this line."
    other, key = next(
        (o, k) for o, k in FIELDS if k in {"can-read", "watch"} and k not in kind.spec.frontmatter()
    )
    [problem] = [problem for problem in problems(kind, key, "Family") if problem.line == 3]
    assert problem.message.startswith(f"`{key}` is a key of a `{other.name}` note;")


@every_field
def test_a_key_with_a_letter_twice_is_answered_with_the_right_one(kind: Kind[Any], key: str) -> None:
    typed = key[:2] + key[1:]
    [problem] = [problem for problem in problems(kind, typed, "x") if problem.line == 3]
    assert (problem.code, problem.is_error) == ("unknown-key", True)
    assert f"`{key}`" in problem.message
    assert problem.cure in {"Delete this line.", f"Write `{key}: x`."}
