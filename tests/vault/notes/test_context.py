from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.folders import write
from vaultloop.model.problem import Problem, Severity
from vaultloop.vault.notes import context
from vaultloop.vault.notes.context import DEEPEST_IMPORT, imports
from vaultloop.vault.plain_folder import FolderFiles


def found(vault: Path, texts: Mapping[str, str | bytes]) -> tuple[Problem, ...]:
    return context.problems(FolderFiles(write(vault, texts)))


def test_code_and_addresses_are_not_imports() -> None:
    text = "`@a.md` ``x ` @b.md`` me@c.md\n```\n@d.md\n```\n~~~\n@e.md\n~~~\n@f.md and @g\\ h.md"
    assert [(each.path, each.line, each.column) for each in imports(text)] == [
        ("f.md", 8, 1),
        ("g h.md", 8, 11),
    ]


@given(st.text(alphabet="@`~.\\/ab \n\r", max_size=60))
@settings(deadline=None)
def test_an_import_stands_where_it_is_said_to(text: str) -> None:
    lines = text.split("\n")
    for each in imports(text):
        assert lines[each.line - 1][each.column - 1] == "@"


def test_imports_that_are_there_are_no_problem(tmp_path: Path) -> None:
    assert not found(
        tmp_path,
        {
            "CLAUDE.md": "See @docs/style.md, and ask @alice. Mail me@example.org. `@no/file.md` is code.",
            "CLAUDE.local.md": "@docs/style.md\n@docs/table.csv",
            "docs/style.md": "Words: @words.md",
            "docs/words.md": "Short ones.",
            "docs/table.csv": "a,b",
        },
    )


def test_a_vault_without_standing_texts_has_no_problem_with_them(tmp_path: Path) -> None:
    assert not found(tmp_path, {"Inbox.md": "@nothing/here.md"})


def test_a_circle_is_told_where_it_closes(tmp_path: Path) -> None:
    [problem] = found(
        tmp_path, {"CLAUDE.md": "@a.md", "a.md": "First.\nThen @docs/b.md", "docs/b.md": "@../a.md."}
    )
    assert (problem.file, problem.line, problem.column) == ("docs/b.md", 1, 1)
    assert (problem.severity, problem.code) == (Severity.WARNING, "import-cycle")
    assert problem.message == "`a.md` imports `docs/b.md`, which imports `a.md`: each is told once."
    assert problem.cure == "Write `../a.md.`."


def test_a_file_that_imports_itself_is_a_circle_of_one(tmp_path: Path) -> None:
    [problem] = found(tmp_path, {"CLAUDE.md": "Read @CLAUDE.md first"})
    assert (problem.code, problem.message) == ("import-cycle", "`CLAUDE.md` imports itself.")


def test_one_file_imported_twice_is_no_circle(tmp_path: Path) -> None:
    assert not found(tmp_path, {"CLAUDE.md": "@a.md @b.md", "a.md": "@c.md", "b.md": "@c.md", "c.md": "x"})


@pytest.mark.parametrize(
    ("text", "code", "cure"),
    [
        (
            "Read @docs/gone.md.",
            "missing-import",
            "Write `Read docs/gone.md.` if it is no import, or write that file.",
        ),
        ("@gone.md", "missing-import", "Write `gone.md` if it is no import, or write that file."),
        ("See @docs/style, now", "missing-import", "Write `See @docs/style.md, now`."),
        (
            "@~/notes.md",
            "import-outside",
            "Write `~/notes.md` if it is no import, or copy the file into the vault and name it here.",
        ),
        (
            "@../x.md",
            "import-outside",
            "Write `../x.md` if it is no import, or copy the file into the vault and name it here.",
        ),
    ],
)
def test_an_import_of_no_file_is_told_with_the_line_to_write(
    text: str, code: str, cure: str, tmp_path: Path
) -> None:
    [problem] = found(tmp_path, {"CLAUDE.md": text, "docs/style.md": "Short."})
    assert (problem.code, problem.cure) == (code, cure)
    assert problem.column == text.index("@") + 1


def chain(length: int) -> dict[str, str]:
    return {f"n{i}.md": f"@n{i + 1}.md" for i in range(1, length)} | {f"n{length}.md": "The end."}


def test_an_import_deeper_than_sessions_follow_is_told(tmp_path: Path) -> None:
    assert not found(tmp_path / "deep", {"CLAUDE.md": "@n1.md", **chain(DEEPEST_IMPORT)})
    [problem] = found(tmp_path / "deeper", {"CLAUDE.md": "@n1.md", **chain(DEEPEST_IMPORT + 1)})
    assert (problem.file, problem.code) == (f"n{DEEPEST_IMPORT}.md", "import-too-deep")


def test_what_something_else_brings_in_is_not_too_deep(tmp_path: Path) -> None:
    assert not found(tmp_path, {"CLAUDE.md": "@n1.md\n@n6.md", **chain(DEEPEST_IMPORT + 1)})


def test_a_secret_in_a_standing_text_is_an_error_and_quoted_nowhere(tmp_path: Path) -> None:
    key = "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz"
    problems = found(tmp_path, {"CLAUDE.md": f"@gone.md {key}"})
    assert {problem.code for problem in problems} == {"secret", "missing-import"}
    assert key not in str(problems)


@given(st.dictionaries(st.sampled_from(["CLAUDE.md", "a.md", "b/c.md"]), st.binary(max_size=60)))
@settings(deadline=None)
def test_whatever_stands_there_each_problem_lies_inside_its_file(texts: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        for problem in found(Path(folder), texts):
            lines = texts[problem.file].decode(errors="replace").split("\n")
            assert problem.column <= len(lines[problem.line - 1]) + 1
            assert problem.cure


def test_errors_are_told_before_any_number_of_warnings(tmp_path: Path) -> None:
    text = "".join(f"@docs/gone{number}.md\n" for number in range(60)) + f"sk-ant-{'a' * 24}\n"
    problems = found(tmp_path, {"CLAUDE.md": text})
    assert [problem.code for problem in problems if problem.is_error] == ["secret"]
    assert len(problems) == context.MOST_PROBLEMS


def test_the_shortest_way_to_a_file_decides_how_deep_it_lies(tmp_path: Path) -> None:
    assert not found(tmp_path, {"CLAUDE.md": "@n1.md\n@n5.md", **chain(DEEPEST_IMPORT + 1)})
