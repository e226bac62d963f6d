"""A reference in every form that Obsidian writes, or a person types, names the same note."""

import unicodedata
from pathlib import Path

import pytest

from support.folders import loaded, write
from vaultloop.model.resource import Ref

NAME = "Süße Küche"
DECOMPOSED = unicodedata.normalize("NFD", NAME)
SCOPE = '---\nkind: scope\ncan-read: "Kitchen"\n---\n'
FORMS = [
    NAME,
    DECOMPOSED,
    NAME.upper().replace("SS", "ß"),
    "süße küche",
    f"{NAME}.md",
    f"agent/scopes/{NAME}",
    f"agent/scopes/{NAME}.md",
    f"../scopes/{NAME}.md",
    f"./{NAME}",
    f"/agent/scopes/{NAME}",
    f"[[{NAME}]]",
    f"[[{DECOMPOSED}]]",
    "[[süße küche]]",
    f"[[{NAME}.md]]",
    f"[[{NAME}.MD]]",
    f"[[scopes/{NAME}]]",
    f"[[agent/scopes/{NAME}]]",
    f"[[../scopes/{NAME}]]",
    f"[[{NAME}|the kitchen]]",
    f"[[scopes/{NAME}\\|in a table]]",
    f"[[{NAME}#Who may speak]]",
    f"[[{NAME}#^a1b2c3]]",
    f"[[{NAME}^a1b2c3]]",
    f"[[{NAME}#Who#Else|label]]",
    f"[[ {NAME} ]]",
    f"![[{NAME}]]",
    f"[label]({NAME}.md)",
    f"[label](<{NAME}.md>)",
    f"[label](<../scopes/{NAME}.md>)",
    "[label](S%C3%BC%C3%9Fe%20K%C3%BCche.md)",
    "[label](../scopes/S%C3%BC%C3%9Fe%20K%C3%BCche.md)",
    "[label](agent/scopes/S%C3%BC%C3%9Fe%20K%C3%BCche.md#Who%20may)",
    "[a [b] c](S%C3%BC%C3%9Fe%20K%C3%BCche.md)",
    f'[label](<{NAME}.md> "title")',
    "[](S%C3%BC%C3%9Fe%20K%C3%BCche.md)",
    f"“[[{NAME}]]”",
    "kitchen-1",
    "[[kitchen-1]]",
]


def cron(scope: str) -> str:
    return f"---\nkind: cron\nschedule: '@daily'\nscope: {scope}\n---\nCook.\n"


def referenced(vault: Path, scope: str, name: str = NAME) -> str:
    notes = {
        f"agent/scopes/{name}.md": SCOPE.replace("can", "id: kitchen-1\ncan"),
        "agent/crons/job.md": cron(scope),
    }
    snapshot = loaded(write(vault, notes))
    assert snapshot.problems == ()
    return str(snapshot.resources[Ref("cron", "job")].spec.fields()["scope"])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_same_note_without_quotes(form: str, tmp_path: Path) -> None:
    assert referenced(tmp_path, form) == NAME


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_same_note_in_quotes(form: str, tmp_path: Path) -> None:
    assert referenced(tmp_path, "'" + form.replace("'", "''") + "'") == NAME


@pytest.mark.parametrize("form", [f"- [[{NAME}]]", f"['[[{NAME}]]']", f"[ {NAME} ]"])
def test_a_list_of_one_is_that_one(form: str, tmp_path: Path) -> None:
    assert referenced(tmp_path, form.replace("- ", "\n  - ")) == NAME


def test_a_note_whose_file_name_is_decomposed_is_found(tmp_path: Path) -> None:
    assert referenced(tmp_path, f"[[{NAME}]]", name=DECOMPOSED) == NAME


def test_a_link_in_a_list_of_links_is_understood_like_a_single_one(tmp_path: Path) -> None:
    rule = "---\nkind: rule\nscopes: [{}]\n---\nBe brief.\n"
    links = ", ".join(f"'{form}'" for form in (f"[[{NAME}|x]]", f"scopes/{NAME}.md", "kitchen-1"))
    vault = write(
        tmp_path,
        {
            f"agent/scopes/{NAME}.md": SCOPE.replace("can", "id: kitchen-1\ncan"),
            "agent/r.md": rule.format(links),
        },
    )
    snapshot = loaded(vault)
    assert snapshot.problems == ()
    assert set(snapshot.resources[Ref("rule", "r")].spec.fields()["scopes"]) == {NAME}
