"""The frontmatter reference in `docs/kinds/`: whole, true and up to date."""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click
import pytest
from pydantic import TypeAdapter

from support.folders import example, loaded
from support.folders import write as written
from vaultloop.cli import COMMANDS, vaultloop
from vaultloop.components import KINDS
from vaultloop.model import fields
from vaultloop.model.resource import Kind, Spec
from vaultloop.reconcile.planner import desire
from vaultloop.reconcile.standing import Standing
from vaultloop.reference.guides import chapters, general
from vaultloop.reference.mistakes import OF_ANY_NOTE, chosen, mistakes
from vaultloop.reference.pages import INDEX, pages, write
from vaultloop.reference.values import VALUES, Value, problems, words
from vaultloop.state.status_book import LastGood
from vaultloop.vault.notes import keys
from vaultloop.vault.notes.frontmatter import parse

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "kinds"
VAULTS = ROOT / "tests" / "vaults"
MISTAKES = mistakes(VAULTS, KINDS)
PAGES = pages(KINDS, MISTAKES)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
every_page = pytest.mark.parametrize("name", sorted(PAGES))


def rows(text: str, chapter: str) -> dict[str, list[str]]:
    """The cells of a chapter's tables, by what stands in code in the first one."""
    lines = [line for line in chapters(text)[1][chapter].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {found[1]: row for row in cells if (found := re.match(r"`([^`]+)`", row[0]))}


def test_the_pages_in_the_repository_are_those_of_the_kinds() -> None:
    there = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*")}
    assert there == PAGES, "the reference is stale: run `make docs`"


def test_writing_replaces_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("")
    (tmp_path / "cron.md").write_text("")
    write(tmp_path, KINDS, VAULTS)
    assert {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()} == PAGES


@every_kind
def test_every_kind_has_the_same_chapters_with_something_in_each(kind: Kind[Any]) -> None:
    first, found = chapters(PAGES[f"{kind.name}.md"])
    assert f"# {kind.name}\n" in first
    order = ["Example", "Fields", "Working with it", "Conditions", "Problems", "How to debug"]
    assert list(found) == order
    assert all(found.values())


@every_kind
def test_the_example_of_every_kind_is_on_its_page_to_the_letter(kind: Kind[Any]) -> None:
    assert example(kind).rstrip() in PAGES[f"{kind.name}.md"]


@every_kind
def test_every_field_is_on_its_page_and_says_whether_it_is_needed_and_works(kind: Kind[Any]) -> None:
    shown = rows(PAGES[f"{kind.name}.md"], "Fields")
    declared, to_come = kind.spec.frontmatter(), kind.spec.to_come
    if kind.spec.entries_in:
        entry = kind.spec.entry_spec()
        declared, to_come = entry.frontmatter() | declared, entry.to_come | to_come
    assert shown.keys() == declared.keys()
    for key, (_, value, default, meaning) in shown.items():
        assert value
        assert meaning
        assert (default == "**required**") is declared[key].is_required()
        assert ("does nothing yet" in meaning) is (key in to_come)


@every_kind
def test_the_index_leads_to_every_kind(kind: Kind[Any]) -> None:
    table = chapters(PAGES[INDEX])[1]["Kinds"]
    [row] = [line for line in table.splitlines() if line.startswith(f"| [{kind.name}]({kind.name}.md) |")]
    assert ("Nothing runs it yet" in row) is not kind.has_component


@every_kind
def test_a_kind_that_nothing_runs_yet_says_so_on_its_page(kind: Kind[Any]) -> None:
    assert ("Nothing runs these notes" in PAGES[f"{kind.name}.md"]) is not kind.has_component


# Words of the vault's owner.


def spoken(kind: str, field: str) -> str:
    spec = next(each.spec for each in KINDS if each.name == kind)
    return words(get_type_hints(spec, include_extras=True)[field])


@pytest.mark.parametrize(
    ("kind", "field", "said"),
    [
        ("cron", "start_within", "[duration](#values)"),
        ("cron", "stop_after", "[duration](#values)"),
        ("cron", "overlap", "`skip`, `queue` or `replace`"),
        ("cron", "schedule", "text such as `0 7 * * *`, `*/5 * * * *` or `@daily`"),
        ("cron", "scope", "link to a [scope](scope.md) note"),
        ("cron", "send_to", "list of chat ids, `owner`, or links to [scope](scope.md) notes"),
        ("scope", "paused", "`true` or `false`"),
        ("scope", "people", "list of [ids](#values)"),
        ("scope", "abilities", "list of `web-search`, `web-fetch`, `shell`"),
        ("scope", "max_steps", "[number from 1](#values)"),
        ("rule", "order", "[number](#values)"),
        ("deploy", "provider", "`coolify`"),
    ],
)
def test_types_are_told_in_plain_words(kind: str, field: str, said: str) -> None:
    assert spoken(kind, field) == said


SHAPES = {
    name: form
    for name, form in vars(fields).items()
    if get_origin(form) is Annotated and get_origin(get_args(form)[0]) is not tuple
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_type_of_value_has_a_name_that_people_understand(name: str) -> None:
    said = words(SHAPES[name])
    assert said == f"[{said[1:-10]}](#values)"
    assert (said[1:-10] == "text") is (name == "Text")


@pytest.mark.parametrize(
    ("value", "text"),
    [(value, text) for value in VALUES for text in value.examples],
    ids=lambda part: part if isinstance(part, str) else part.name.replace(" ", "-"),
)
def test_every_example_of_a_value_is_taken_as_it_stands_in_a_note(value: Value, text: str) -> None:
    note = parse("agent/note.md", f"---\nkind: cron\nkey: {text}\n---\n")
    assert note.problems == ()
    TypeAdapter(value.form).validate_python(note.properties["key"].value)


# Problems.

CODES = {mistake.problem.code for mistake in MISTAKES}


def test_every_problem_that_a_test_vault_shows_is_in_the_index_with_its_cure() -> None:
    shown = rows(PAGES[INDEX], "Problems")
    assert shown.keys() == CODES
    assert all(all(row) for row in shown.values())


@every_page
def test_a_problem_that_a_page_names_has_an_example_in_the_index(name: str) -> None:
    chapter = chapters(PAGES[name])[1].get("Problems", "")
    named = [
        code
        for line in chapter.splitlines()
        if line.startswith("What")
        for code in re.findall(r"`([^`]+)`", line)
    ]
    assert set(named) <= CODES


@every_kind
def test_a_page_shows_the_problems_of_its_own_kind(kind: Kind[Any]) -> None:
    own = {m.problem.code for m in MISTAKES if m.kind == kind.name} - OF_ANY_NOTE
    assert rows(PAGES[f"{kind.name}.md"], "Problems").keys() == own


def test_what_belongs_to_any_note_is_what_some_vault_shows() -> None:
    too_long_for_a_test_vault = {"too-large"}
    assert OF_ANY_NOTE - too_long_for_a_test_vault <= CODES


def in_values() -> Iterator[tuple[str, Any, str]]:
    """The code of each mistake in a value, the type of its field, and its vault."""
    of_values = {code for value in VALUES for code in value.problems} | {"bad-choice", "bad-flag"}
    specs = {kind.name: kind.spec for kind in KINDS}
    for mistake in MISTAKES:
        spec = specs.get(mistake.kind or "", Spec)
        names = {info.alias or name: name for name, info in spec.model_fields.items()}
        field = names.get(mistake.typed.partition(":")[0])
        if field is not None and mistake.problem.code in of_values:
            yield mistake.problem.code, get_type_hints(spec, include_extras=True)[field], mistake.case


@pytest.mark.parametrize(
    ("code", "hint", "case"), [pytest.param(*found, id=found[2]) for found in in_values()]
)
def test_what_can_be_wrong_with_a_value_is_said_of_its_type(code: str, hint: Any, case: str) -> None:
    assert code in problems(hint), case


def test_the_plainest_mistake_is_chosen() -> None:
    found = {mistake.problem.code: mistake for mistake in chosen(MISTAKES)}
    assert found["missing-field"].case == "missing-field"
    assert found["bad-duration"].alone


@every_page
def test_no_page_holds_a_secret(name: str) -> None:
    assert not re.search(r"ghp_\w{10}|sk-ant-\w{10}", PAGES[name])


# Conditions.


def shown_conditions(kind: str) -> set[tuple[str, str]]:
    table = chapters(PAGES[f"{kind}.md"])[1]["Conditions"]
    return set(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", table, re.MULTILINE))


EXAMPLES = {
    f"agent/{'owner' if kind.name == 'scope' else kind.name}.md": example(kind).replace("paused: true\n", "")
    for kind in KINDS
}
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def statuses(vault: Path, last_good: Sequence[LastGood] = ()) -> set[tuple[str, str, str]]:
    """Kind, condition and reason of each note, if everything that can be applied was."""
    snapshot = loaded(vault)
    desired = desire(snapshot, last_good, KINDS)
    found = Standing(
        snapshot=snapshot,
        desired=desired,
        setbacks={},
        applied={good.ref: good.applied for good in last_good},
        observed=desired.resources.keys(),
        kinds=KINDS,
    ).statuses(NOW)
    return {(status.ref.kind, str(status.condition), status.reason) for status in found}


@pytest.mark.parametrize(
    "line", ["", "paused: true\n", "paused: perhaps\n"], ids=["sound", "paused", "invalid"]
)
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_what_status_says_of_the_examples_is_on_their_pages(
    tmp_path: Path, line: str, *, known: bool
) -> None:
    before = loaded(written(tmp_path / "before", EXAMPLES)).resources.values() if known else ()
    notes = {path: text.replace("---\n", f"---\n{line}", 1) for path, text in EXAMPLES.items()}
    after = written(tmp_path / "after", notes)
    found = statuses(after, [LastGood.of(resource, "r0") for resource in before])
    assert {kind for kind, *_ in found} == {kind.name for kind in KINDS}
    for kind, *standing in found:
        assert tuple(standing) in shown_conditions(kind), kind


@pytest.mark.parametrize("case", sorted({mistake.case for mistake in MISTAKES}))
def test_what_status_says_of_a_mistake_is_on_the_page_of_its_kind(case: str) -> None:
    for kind, *standing in statuses(VAULTS / case / "vault"):
        assert tuple(standing) in shown_conditions(kind), kind


def known_reasons(kind: Kind[Any]) -> set[str]:
    engine = ROOT / "engine" / "vaultloop"
    texts = [path.read_text(encoding="utf-8") for path in (engine / "reconcile").glob("*.py")]
    said = {word for text in texts for word in re.findall(r'"([A-Z][A-Za-z]+)"', text)}
    folder = Path(sys.modules[kind.spec.__module__].__file__ or "").parent
    codes = {code for path in folder.glob("*.py") for code in re.findall(r'"([a-z-]+)"', path.read_text())}
    return said | {"".join(word.capitalize() for word in code.split("-")) for code in codes}


@every_kind
def test_every_reason_on_a_page_is_one_that_the_engine_gives(kind: Kind[Any]) -> None:
    assert {reason for _, reason in shown_conditions(kind.name)} <= known_reasons(kind)


# What the pages speak of is there.


def links(text: str) -> Iterator[tuple[str, str]]:
    outside_of_code = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", outside_of_code):
        page, _, anchor = target.partition("#")
        yield page, anchor


@every_page
def test_every_link_leads_to_a_page_and_a_chapter(name: str) -> None:
    for target, anchor in links(PAGES[name]):
        text = PAGES[target or name]
        headings = {heading.lower().replace(" ", "-") for heading in chapters(text)[1]}
        assert not anchor or anchor in headings


@every_page
def test_every_command_on_a_page_can_be_called_so(name: str) -> None:
    for line in re.findall(r"`vaultloop ([^`]+)`", PAGES[name]):
        called(shlex.split(line))


def called(arguments: list[str]) -> None:
    assert arguments[0] in COMMANDS
    command: click.Command = vaultloop
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    command.make_parser(click.Context(command)).parse_args(list(arguments))


def test_the_properties_that_are_said_to_be_left_alone_are() -> None:
    text = general()[1]["How a note is read"]
    [line] = [line for line in text.splitlines() if "left alone" in line]
    named = re.findall(r"`([a-z-]+)`", line)
    assert len(named) > 5
    assert all(keys.is_of_others(key) for key in named)


# A new kind.

KIND_PY = '''
from vaultloop.model import fields
from vaultloop.model.resource import Kind, Spec, Stage

class LampSpec(Spec):
    """A lamp."""

    bright: bool = True
    """Whether it shines."""

KIND = Kind("lamp", LampSpec, Stage.TRIGGER, folder="lamps")
'''


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind[Any]:
    (tmp_path / "kind.py").write_text(KIND_PY)
    (tmp_path / "example.md").write_text("---\nkind: lamp\n---\n")
    found = importlib.util.spec_from_file_location("lamp_kind", tmp_path / "kind.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "lamp_kind", module)
    found.loader.exec_module(module)
    kind: Kind[Any] = module.KIND
    return kind


def test_a_new_kind_has_its_page_out_of_one_folder(lamp: Kind[Any], tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("## Working with it\n\nTurn it on.\n\n## How to debug\n\nLook.\n")
    page = pages([*KINDS, lamp], MISTAKES)["lamp.md"]
    assert rows(page, "Fields")["bright"] == ["`bright`", "`true` or `false`", "`true`", "Whether it shines."]
    assert "Turn it on." in page


def test_a_guide_without_a_chapter_is_refused_by_name(lamp: Kind[Any], tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("## Working with it\n\nTurn it on.\n\n## Bulbs\n\nScrew.\n")
    with pytest.raises(ValueError, match=r"How to debug.*Bulbs"):
        pages([lamp], MISTAKES)
