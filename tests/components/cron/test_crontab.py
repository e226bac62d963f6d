"""What people write into a crontab, and the jobs that are read from it."""

import random
from typing import Any

import pytest

from support.folders import declared, loaded, write
from support.notes import OWNER, note, scope
from vaultloop.components.cron.kind import CRONTAB, CrontabJob, CrontabSpec
from vaultloop.model.problem import Problem
from vaultloop.model.resource import Ref
from vaultloop.vault.notes import entries

VAULT = {"agent/scopes/owner.md": OWNER, "agent/scopes/Family.md": scope()}
NOTE = "agent/crons/table.md"


@pytest.fixture
def jobs(tmp_path: Any) -> Any:
    def read(body: str, **fields: object) -> dict[str, CrontabJob]:
        """The jobs of a note that has no problem at all."""
        text = note("crontab", body, **fields)
        assert loaded(write(tmp_path, {**VAULT, NOTE: text})).problems == ()
        spec = declared(tmp_path / "again", {**VAULT, NOTE: text})["table"].spec
        assert isinstance(spec, CrontabSpec)
        return {job.name: job for job in spec.jobs}

    return read


@pytest.fixture
def problems(tmp_path: Any) -> Any:
    def read(body: str, **fields: object) -> list[Problem]:
        found = loaded(write(tmp_path, {**VAULT, NOTE: note("crontab", body, **fields)}))
        assert (Ref("crontab", "table") in found.broken) is any(p.is_error for p in found.problems)
        return list(found.problems)

    return read


def test_the_columns_of_a_table_may_stand_in_any_order_and_any_case(jobs: Any) -> None:
    found = jobs(
        """
| Scope     | PROMPT       | Name    | Schedule    | Catch up | Send To         |
| --------- | :----------: | ------- | ----------- | -------- | --------------- |
| [[owner]] | What is new? | morning | `0 7 * * *` | skip     | owner, -100 Us  |
"""
    )
    job = found["morning"]
    assert (job.schedule, job.scope, job.body) == ("0 7 * * *", "owner", "What is new?")
    assert (job.catch_up, job.send_to) == ("skip", ("owner", "-100"))


def test_a_heading_is_a_job_with_the_lines_below_it_as_keys_and_the_text_as_prompt(jobs: Any) -> None:
    found = jobs(
        """
# About

These run at home.

## morning

schedule: 0 7 * * *
scope: [[owner]]
send-to: owner

Note: what is planned for today?

### Also

Mail.

## evening
- **schedule**: "@daily"
- scope:: [[owner|me]]
- prompt: What is left?
"""
    )
    assert list(found) == ["morning", "evening"]
    assert found["morning"].body == "Note: what is planned for today?\n\n### Also\n\nMail."
    assert found["morning"].send_to == ("owner",)
    assert (found["evening"].schedule, found["evening"].body) == ("@daily", "What is left?")


def test_table_and_headings_may_stand_in_one_note(jobs: Any) -> None:
    found = jobs(
        """
| name | schedule | scope | prompt |
| ---- | -------- | ----- | ------ |
| tea  | @daily   | owner | Tea?   |

## post
schedule: "@hourly"
scope: owner

| a table | in a prompt |
| ------- | ----------- |
| name    | schedule    |
"""
    )
    assert list(found) == ["post", "tea"]
    assert found["post"].body.startswith("| a table")


@pytest.mark.parametrize(
    "cell", ["[[owner]]", r"[[owner\|me]]", "[[agent/scopes/owner]]", "[owner](owner.md)", "OWNER", "`owner`"]
)
def test_a_scope_is_named_in_any_form_that_obsidian_writes(jobs: Any, cell: str) -> None:
    assert jobs(f"|name|schedule|scope|prompt|\n|-|-|-|-|\n|a|@daily|{cell}|Go.|")["a"].scope == "owner"


@pytest.mark.parametrize(
    "cell", ["`0 7 * * *`", "0 7 * * *", r"0 7 \* \* \*", '"0 7 * * *"', "  0  7 * * *  ", "**0 7 * * ***"]
)
def test_a_schedule_may_stand_in_marks_or_without(jobs: Any, cell: str) -> None:
    found = jobs(f"|name|schedule|scope|prompt|\n|-|-|-|-|\n|a|{cell}|owner|Go.|")["a"].schedule
    assert found.split() == ["0", "7", "*", "*", "*"]


def test_stars_of_a_schedule_are_no_marks(jobs: Any) -> None:
    assert (
        jobs("|name|schedule|scope|prompt|\n|-|-|-|-|\n|a|* * * * *|owner|Go.|")["a"].schedule == "* * * * *"
    )


def test_comments_are_for_people_wherever_they_stand(jobs: Any) -> None:
    found = jobs(
        """
%% Obsidian's own comment %%

| name | schedule | scope | prompt |
| ---- | -------- | ----- | ------ |
| tea  | @daily   | owner | Tea? <!-- or coffee --> |
<!-- | off  | @daily   | owner | Off | -->
| post | @daily   | owner | Post? |

<!--
## not-a-job
schedule: 0 7 * * *
-->
"""
    )
    assert {name: job.body for name, job in found.items()} == {"tea": "Tea?", "post": "Post?"}


def test_a_break_in_a_cell_is_a_new_line_of_the_prompt_and_a_bar_may_be_escaped(jobs: Any) -> None:
    text = (
        r"|name|schedule|scope|prompt|"
        "\n|-|-|-|-|\n"
        r"|a|@daily|owner|Read [[Plan\|it]].<br>Then `a \| b`.|"
    )
    assert jobs(text)["a"].body == "Read [[Plan|it]].\nThen `a | b`."


def test_tables_and_headings_that_are_no_jobs_are_prose(jobs: Any) -> None:
    found = jobs(
        """
## Legend

| word | meaning |
| ---- | ------- |
| tea  | a drink |

```
## fenced
schedule: nonsense
```

| name | schedule | scope | prompt |
| ---- | -------- | ----- | ------ |
| tea  | @daily   | owner | Tea?   |
"""
    )
    assert list(found) == ["tea"]


def test_a_job_has_the_timezone_of_its_note_unless_it_names_one(jobs: Any) -> None:
    body = (
        "|name|schedule|scope|prompt|timezone|\n|-|-|-|-|-|\n"
        "|a|@daily|owner|Go.||\n|b|@daily|owner|Go.|Asia/Tokyo|"
    )
    found = jobs(body, timezone="Europe/Berlin")
    assert (found["a"].timezone, found["b"].timezone) == ("Europe/Berlin", "Asia/Tokyo")


def test_a_job_inherits_the_timezone_of_the_defaults_note(tmp_path: Any) -> None:
    body = "|name|schedule|scope|prompt|\n|-|-|-|-|\n|a|@daily|owner|Go.|"
    defaults = note("defaults", timezone="Asia/Kathmandu")
    vault = {**VAULT, "agent/defaults.md": defaults, NOTE: note("crontab", body)}
    spec = declared(tmp_path, vault)["table"].spec
    assert isinstance(spec, CrontabSpec)
    assert [job.timezone for job in spec.jobs] == ["Asia/Kathmandu"]


def test_every_problem_names_its_line_and_column_in_the_file(problems: Any) -> None:
    found = problems(
        """
Prose.

| name | schedule    | scope     | prompt | send-to         |
| ---- | ----------- | --------- | ------ | --------------- |
| a    | `61 7 * * *`| [[owner]] | Go.    | owner           |
| b    | `0 7 * * *` |           | Go.    | owner           |
| a    | @daily      | [[owner]] |        | owner, everyone? |
"""
    )
    assert [(p.line, p.column, p.code) for p in found] == [
        (9, 10, "bad-schedule"),
        (10, 23, "missing-field"),
        (11, 3, "duplicate-name"),
        (11, 35, "missing-field"),
        (11, 52, "missing-reference"),
    ]
    assert found[1].cure == "Write `| b    | `0 7 * * *` | [[owner]] | Go.    | owner           |`."


def test_a_missing_scope_or_recipient_is_told_where_it_stands(problems: Any) -> None:
    found = problems(
        "|name|schedule|scope|prompt|send-to|\n|-|-|-|-|-|\n"
        "|a|@daily|[[ownr]]|Go.|owner, [[famly]]|\n|b|@daily|owner|Go.||"
    )
    assert [(p.line, p.column, p.code) for p in found] == [
        (6, 11, "missing-reference"),
        (6, 31, "missing-reference"),
    ]
    assert found[0].cure == "Write `|a|@daily|[[owner]]|Go.|owner, [[famly]]|`."
    assert found[1].cure == "Write `|a|@daily|[[ownr]]|Go.|owner, [[Family]]|`."


def test_a_crontab_with_windows_line_ends_and_an_indented_first_line_is_placed_right(problems: Any) -> None:
    found = problems(" |name|schedule|scope|prompt|\r\n|-|-|-|-|\r\n|a|61 * * * *|owner|Go.|\r\n")
    assert [(p.line, p.column, p.code) for p in found] == [(6, 4, "bad-schedule")]


@pytest.mark.parametrize(
    "body", ["", "Just prose.", "## A heading\n\nand prose", "```\n## a\nschedule: x\n```", "<!-- all"]
)
def test_a_note_without_jobs_is_an_error(problems: Any, body: str) -> None:
    (problem,) = problems(body)
    assert (problem.code, problem.is_error) == ("no-jobs", True)


@pytest.mark.parametrize("name", ["a/b", "a#b"])
def test_a_name_that_would_be_misread_is_refused(problems: Any, name: str) -> None:
    (problem,) = problems(f"|name|schedule|scope|prompt|\n|-|-|-|-|\n|{name}|@daily|owner|Go.|")
    assert (problem.code, problem.cure) == ("bad-name", "Write `|a-b|@daily|owner|Go.|`.")


def test_jobs_is_no_key_of_the_frontmatter(problems: Any) -> None:
    (problem,) = problems("|name|schedule|scope|prompt|\n|-|-|-|-|\n|a|@daily|owner|Go.|", jobs="none")
    assert (problem.code, problem.line) == ("unknown-key", 3)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("Since {{last_run}}: {{changed-notes}}", "Since {{last-run}}: {{changed-notes}}"),
        ("Plan for {{date}}", "Plan for today's date"),
        ("It is {{time}}", "It is the current time"),
        ("Do {{something}}", "Do something"),
    ],
)
def test_a_placeholder_that_is_not_replaced_is_a_warning_with_what_to_write(
    problems: Any, text: str, instead: str
) -> None:
    (problem,) = problems(f"## a\nschedule: 0 7 * * *\nscope: owner\n\nFirst.\n{text}")
    assert (problem.code, problem.is_error, problem.line) == ("unknown-placeholder", False, 9)
    assert problem.cure == f"Write `{instead}`."


@pytest.mark.parametrize("word", ["last-run", "changed-notes", " last-run ", "Last-Run"])
def test_a_placeholder_that_is_replaced_is_no_problem(jobs: Any, word: str) -> None:
    assert jobs(f"## a\nschedule: 0 7 * * *\nscope: owner\n\nSince {{{{{word}}}}}.")


def test_an_id_survives_another_name_and_is_taken_by_one_job_only(jobs: Any, problems: Any) -> None:
    head = "|name|id|schedule|scope|prompt|\n|-|-|-|-|-|\n"
    found = jobs(f"{head}|a|one|@daily|owner|Go.|\n|b|b|@daily|owner|Go.|")
    assert found["a"].id == "one"
    (problem,) = problems(f"{head}|a|one|@daily|owner|Go.|\n|b|One|@daily|owner|Go.|")
    assert (problem.code, problem.line, problem.column) == ("duplicate-id", 7, 4)
    (problem,) = problems(f"{head}|a|b|@daily|owner|Go.|\n|b||@daily|owner|Go.|")
    assert (problem.code, problem.line, problem.column) == ("duplicate-name", 7, 2)


PIECES = (
    *(
        "|",
        "|",
        "|",
        "\n",
        "\n",
        "-",
        ":",
        "# ",
        "## ",
        "name",
        "schedule",
        "scope",
        "prompt",
        "send-to",
        "a",
    ),
    *(
        "* * * * *",
        "owner",
        "[[",
        "]]",
        "\\",
        "`",
        "```\n",
        "<!--",
        "-->",
        "%%",
        "{{",
        "}}",
        "<br>",
        " ",
        "\t",
    ),
    *(
        "%%",
        "send-to",
        ": ",
        ",",
        "\r",
        "\u2028",
        "\0",
        "=",
        "> ",
        "---\n",
        "|-|-|-|-|\n",
        "|name|schedule|scope|prompt|\n",
    ),
)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_typed_is_read_and_every_place_lies_in_the_text(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(400):
        text = "".join(chance.choices(PIECES, k=chance.randrange(40))).strip()
        read = entries.read(CRONTAB, text)
        lines = text.split("\n")
        for finding in read.findings:
            assert finding.message
            if finding.place is not None:
                assert 1 <= finding.place.line <= len(lines)
                line = lines[finding.place.line - 1]
                assert 1 <= finding.place.column <= finding.place.end <= len(line) + 1
