import re

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from vaultloop.vault.notes.frontmatter import Note, Span, parse


def note(*lines: str, body: str = "Text.\n") -> Note:
    return parse("agent/x.md", "\n".join(["---", *lines, "---", body]))


def value(line: str) -> object:
    found = note(line)
    assert not found.problems, found.problems
    return found.properties["k"].value


@pytest.mark.parametrize(
    "typed",
    [
        "on",
        "off",
        "no",
        "yes",
        "true",
        "2026-11-22",
        "1:30",
        "012",
        "1e3",
        "0x1F",
        "-1001234567890",
        ".5",
        "=",
        "<<",
    ],
)
def test_values_stay_the_text_that_was_typed(typed: str) -> None:
    assert value(f"k: {typed}") == typed


@pytest.mark.parametrize(
    "typed",
    [
        "*/5 * * * *",
        "@daily",
        "**",
        "*.host",
        "[[finance]]",
        "[[a|b]], [[c]]",
        "![[x]]",
        "Report: weekly",
        "a: b: c",
        "{{last-run}} and more",
        "- dash",
        "? what",
        "%done",
        "`code`",
        '"a" and "b"',
        "'a' b",
        "Ends with:",
        "> 5",
        "| x",
        "[x](y.md)",
        "[ ] open",
        "@ann",
        "]",
        "}",
        ", x",
        "{open",
    ],
)
def test_what_people_type_on_phones_is_taken_as_text(typed: str) -> None:
    assert value(f"k: {typed}") == typed
    assert value(f"k: [x, a]\nj: {typed}") == ["x", "a"]
    assert note(f"j: {typed}").properties["j"].span == Span(2, 4, 4 + len(typed))


@pytest.mark.parametrize(
    "typed", ["*/5 * * * *", "@daily", "**", "*.host", "[[finance]]", "Report: weekly", "{{x}}"]
)
def test_the_same_holds_for_items_of_a_list(typed: str) -> None:
    found = note("k:", f"  - {typed}", "  - y").properties["k"]
    assert found.value == [typed, "y"]
    assert found.items == (Span(3, 5, 5 + len(typed)), Span(4, 5, 6))


def test_items_of_a_list_in_brackets_keep_their_columns() -> None:
    found = note('k: [**, "a, b", [[x, y]], a/[bc]*, z]').properties["k"]
    assert found.value == ["**", "a, b", "[[x, y]]", "a/[bc]*", "z"]
    assert [(span.column, span.end) for span in found.items] == [
        (5, 7),
        (9, 15),
        (17, 25),
        (27, 34),
        (36, 37),
    ]
    assert found.span == Span(2, 4, 38)


def test_a_comment_is_no_part_of_a_value() -> None:
    assert value("k: [[a]] # why") == "[[a]]"
    assert value("k: a # b: c") == "a"


@pytest.mark.parametrize("typed", ["", "~", "null", "# only a comment"])
def test_an_empty_property_is_none(typed: str) -> None:
    assert value(f"k: {typed}") is None


def test_a_quoted_null_is_text() -> None:
    assert value('k: "null"') == "null"


def test_empty_items_are_left_out_of_a_list() -> None:
    assert value("k:\n  - a\n  -\n  - b") == ["a", "b"]


def test_ordinary_yaml_of_several_lines_is_left_alone() -> None:
    found = note(
        "k: |", "  a: b", "  *x", "j: [a,", "  b]", 'm: "one', '  two"', "n:", "- x", "o: plain", "  goes on"
    )
    assert not found.problems
    values = {key: each.value for key, each in found.properties.items()}
    assert values == {"k": "a: b\n*x\n", "j": ["a", "b"], "m": "one two", "n": ["x"], "o": "plain goes on"}


def test_nested_keys_of_plugins_are_read() -> None:
    assert value("k:\n  - name: a\n    size: 2\n  - name: b\n    size: 3") == [
        {"name": "a", "size": "2"},
        {"name": "b", "size": "3"},
    ]


def test_odd_spaces_of_phones_count_as_spaces() -> None:
    assert value("k:\u00a0v") == "v"
    assert value("k:\n\u00a0\u00a0-\u00a0v") == ["v"]


@pytest.mark.parametrize(
    ("lines", "code", "place"),
    [
        (["k: a", "k: b"], "duplicate-key", (3, 1)),
        (["k: &x a"], "yaml-anchor", (2, 4)),
        (["k: [a, &x b]"], "yaml-anchor", (2, 8)),
        (["k: !!python/object:os.system x"], "yaml-tag", (2, 4)),
        (["k: a", "\tj: b"], "tab", (3, 1)),
        (["k:v"], "no-space", (2, 1)),
        (["j: a", "k v"], "no-colon", (3, 1)),
        (["k: [a", "j: b"], "unclosed-bracket", (2, 4)),
        (['k: "a', "j: b"], "unclosed-quote", (2, 4)),
        (['k: [a, "b]'], "unclosed-quote", (2, 8)),
        (["k: a", "  j: b"], "indented", (3, 1)),
        (['k: "\\d"'], "bad-yaml", (2, 5)),
        (["k: a\u0007"], "control-character", (2, 5)),
        (["k:", "  " + "- " * 30 + "x"], "bad-yaml", (3, 27)),
    ],
)
def test_a_mistake_is_named_with_its_line_and_column(
    lines: list[str], code: str, place: tuple[int, int]
) -> None:
    (problem,) = parse("p", "\n".join(["---", "kind: x", *lines, "---"])).problems
    assert (problem.code, (problem.line - 1, problem.column)) == (code, place)
    assert problem.cure


def test_several_mistakes_are_named_at_once() -> None:
    problems = note("kind cron", "k:v", "j: [a, b").problems
    assert [problem.code for problem in problems] == ["no-colon", "no-space", "unclosed-bracket"]


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nA line above.\n\n---\nAnd below.\n",
        "---\n# Heading\n---\nText\n",
        "---\nProse between rules\n---\n",
        "---\n\nOnly one rule, and: a colon\n",
        "---",
        "----\nk: v\n---\n",
        "Text\n---\nk: v\n---\n",
        "",
    ],
)
def test_a_note_that_begins_with_a_rule_line_is_all_body(text: str) -> None:
    found = parse("p", text)
    assert (dict(found.properties), found.body, found.body_line) == ({}, text, 1)


def test_an_empty_frontmatter_is_one() -> None:
    found = parse("p", "---\n---\nText\n")
    assert (dict(found.properties), found.body, found.body_line) == ({}, "Text\n", 3)


def test_an_unclosed_frontmatter_is_a_problem_and_loses_no_text() -> None:
    found = parse("p", "---\nkind: cron\nschedule: @daily\n\nDo this: now.\n")
    assert [problem.code for problem in found.problems] == ["unclosed-frontmatter"]
    assert found.body == "\nDo this: now.\n"
    assert found.properties["schedule"].value == "@daily"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    found = parse("p", "\ufeff---\r\nk: [[v]]\r\n---\r\nText\r\n")
    assert found.properties["k"].span == Span(2, 4, 9)
    assert (found.properties["k"].value, found.body, found.body_line) == ("[[v]]", "Text\r\n", 4)


def test_a_fence_that_autocorrection_made_a_dash_is_pointed_out() -> None:
    (problem,) = parse("p", "\u2014\nkind: cron\n---\n").problems
    assert problem.code == "no-frontmatter"


def test_the_kind_is_known_even_where_the_rest_is_not_yaml() -> None:
    found = note("kind: cron", 'k: "\\d"')
    assert (found.kind_typed, dict(found.properties)) == ("cron", {})


# Printable text of one line, as a person may type it after `k: `.
PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp", "Zs"], include_characters=" "),
    min_size=1,
)


@given(PLAIN)
def test_any_plain_text_is_read_as_it_was_typed(text: str) -> None:
    typed = text.strip()
    # What means something in YAML that we keep: quotes, brackets, blocks, comments, tags, anchors, null.
    assume(
        typed
        and typed[0] not in "\"'[{|>#!&"
        and not re.search(r"\s#", typed)
        and typed not in {"~", "null", "Null", "NULL"}
    )
    assert value(f"k: {typed}") == typed
    if not re.match(r"-(\s|\Z)", typed):  # a list in a list
        assert value(f"k:\n  - {typed}\n  - x") == [typed, "x"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_any_quoted_text_is_read_as_yaml_reads_it(text: str) -> None:
    typed = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6).rstrip("\n")
    assume("\n" not in typed)
    assert value(f"k: {typed}") == text


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))))
def test_no_text_of_a_note_is_ever_lost_and_nothing_raises(lines: list[str]) -> None:
    text = "\n".join(["---", *lines])
    found = parse("p", text)
    kept = len(found.body)
    assert text.endswith(found.body)
    head = text[: len(text) - kept]
    assert head.count("\n") == found.body_line - 1 or (kept == 0 and head.count("\n") == found.body_line - 2)


@given(
    st.lists(
        st.sampled_from(
            [
                "k: v",
                "- x",
                "  - y",
                "  j: z",
                "k: [",
                "]",
                '"',
                "'",
                "k: |",
                "  t",
                "",
                "a b",
                "\t",
                "---",
                "k:",
                "{",
                "&a *b !c",
                "? x",
            ]
        )
    )
)
def test_any_jumble_of_yaml_is_answered_without_an_exception(lines: list[str]) -> None:
    found = parse("p", "\n".join(["---", *lines, "---", "Body"]))
    assert found.body.endswith("Body")


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\r"])
@pytest.mark.parametrize(
    "line", ["# a{}b", "a: 'b{}c'", 'a: "b{}c"', "a: b{}c", "a: b{}", "a: |\n  b{}c\n  d", "{}"]
)
def test_only_a_newline_ends_a_line(line: str, odd: str) -> None:
    above = line.format(odd)
    found = parse("p", f"---\n{above}\nkey: value\n---\n")
    assert found.problems == ()
    assert found.properties["key"].place == Span(above.count("\n") + 3, 1, 4)


@pytest.mark.parametrize("line", ["a: 'b\u2028c'", "a: b\u2028c", 'a: "b\u2028c"'])
def test_a_character_in_which_yaml_sees_a_lines_end_stays_in_its_value(line: str) -> None:
    found = parse("p", f"---\n{line}\n---\n").properties["a"]
    assert (found.value, found.span) == ("b\u2028c", Span(2, 4, len(line) + 1))


def test_text_that_looks_like_what_stands_for_such_a_character_stays() -> None:
    found = parse("p", "---\na: 'x\U0010fffd\u2028y'\n---\n")
    assert found.properties["a"].value == "x\U0010fffd\u2028y"


def test_a_frontmatter_that_is_neither_closed_nor_begun_with_a_key_says_which_line_to_write() -> None:
    (problem,) = parse("p", "---\nkind = cron\nschedule: '0 7 * * *'\n").problems
    assert (problem.code, problem.line, problem.cure) == ("no-frontmatter", 2, "Write `kind: cron`.")


@pytest.mark.parametrize(
    ("below", "safe"),
    [
        ("", True),
        ("\nBuy milk.\n", True),
        ("\nexcept: Private\n", False),
        ("\nBuy:\n\n- milk\n", False),
        ("Milk\n", False),
    ],
)
def test_a_missing_end_is_beyond_doubt_only_where_nothing_below_looks_like_a_property(
    below: str, safe: bool
) -> None:
    (problem,) = parse("p", f"---\nkind: cron\nschedule: '0 7 * * *'\n{below}").problems
    assert problem.fix is not None
    assert problem.fix.safe == safe


def test_the_missing_end_of_a_scope_is_never_beyond_doubt() -> None:
    (problem,) = parse("p", "---\nkind: scope\nchats: owner\n").problems
    assert problem.fix is not None
    assert not problem.fix.safe
