import json
from pathlib import Path

import pytest

from support.leased import commit
from support.memory_vault import MemoryFiles
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.notes.protected import LookAlikes, Protected, is_declared_at, protected_in


def templates(**settings: object) -> tuple[str, ...]:
    """The templates by these settings of Obsidian: the file's name, in which `_` stands for `/`."""
    notes = {f".obsidian/{name}": value for name, value in settings.items()}
    texts = {path: value if isinstance(value, str) else json.dumps(value) for path, value in notes.items()}
    return protected_in(MemoryFiles("r", texts)).templates


def test_without_settings_the_usual_folder_holds_templates() -> None:
    assert protected_in(MemoryFiles("r", {})) == Protected(("Templates",))


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("templates.json", "folder"),
        ("plugins/templater-obsidian/data.json", "templates_folder"),
        ("plugins/templater-obsidian/data.json", "user_scripts_folder"),
        ("daily-notes.json", "template"),
        ("zk-prefixer.json", "template"),
    ],
)
def test_what_obsidians_settings_name_is_protected_too(file: str, key: str) -> None:
    protected = protected_in(MemoryFiles("r", {f".obsidian/{file}": json.dumps({key: "/My Forms/Daily/"})}))
    for path in ("My Forms/Daily/x.md", "my forms/daily/y/z.png", "My Forms/Daily.md", "Templates/x.md"):
        assert path in protected
    for path in ("My Forms/x.md", "My Forms/Daily 2.md", "Daily/x.md"):
        assert path not in protected


def test_a_note_that_is_a_template_may_be_named_with_its_ending() -> None:
    assert templates(**{"daily-notes.json": {"template": "Day.md"}}) == ("Templates", "Day.md")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"folder": ""},
        {"folder": "/"},
        {"folder": None},
        {"folder": ["x"]},
        [],
        "{",
        "[" * 100_000,
        "\x00",
    ],
)
def test_settings_that_name_nothing_protect_nothing_more(settings: object) -> None:
    assert templates(**{"templates.json": settings}) == ("Templates",)


def test_settings_are_read_from_a_revision_and_a_link_is_none(tmp_path: Path) -> None:
    repository = Repository.bare(tmp_path / "vault.git", "main")
    head = commit(repository, {".obsidian/templates.json": '{"folder": "Forms"}'})
    assert "Forms/x.md" in protected_in(repository.files(head))
    assert "Forms/x.md" not in protected_in(repository.files_of_tree(None))


def test_two_revisions_protect_together_what_either_does() -> None:
    both = Protected(("Templates", "a")) | Protected(("Templates", "b"))
    assert both == Protected(("Templates", "a", "b"))
    assert 7 not in both


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("agent/x.md", True),
        ("agent/a/B.MD", True),
        ("Agent/x.md", False),
        ("agent/x.png", False),
        ("x.md", False),
    ],
)
def test_a_declaration_lies_in_agent_spelled_just_so(path: str, *, is_one: bool) -> None:
    assert is_declared_at(path) is is_one


def test_look_alikes_are_told_from_the_name_itself() -> None:
    names = LookAlikes(["a.md", "Caf\u00e9.md", "b"])
    assert names.of("A.md") == "a.md"
    assert names.of("Cafe\u0301.md") == "Caf\u00e9.md"
    assert names.of("b\u200d") == "b"
    assert names.of("a.md") is None
    assert names.of("c") is None
