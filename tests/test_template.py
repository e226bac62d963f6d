"""The vault template: a vault that a person would enjoy opening."""

import re
from pathlib import Path
from typing import Any

import pytest

from support.folders import example, loaded
from vaultloop.components import KINDS
from vaultloop.model.resource import Kind, Ref

TEMPLATE = Path(__file__).parents[1] / "vault-template"
NOTES = sorted(TEMPLATE.rglob("*.md"))
# Notes that an agent writes once it runs.
WRITTEN_LATER = {"Digest", "Review"}


def test_it_has_no_problems() -> None:
    assert loaded(TEMPLATE).problems == ()


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_it_holds_the_example_of_every_kind_to_the_letter(kind: Kind[Any]) -> None:
    texts = [note.read_text(encoding="utf-8") for note in (TEMPLATE / "agent").rglob("*.md")]
    assert example(kind) in texts


def test_the_owners_scope_is_named_owner() -> None:
    owner = loaded(TEMPLATE).resources[Ref("scope", "owner")]
    assert owner.spec.fields()["chats"] == ["owner"]


@pytest.mark.parametrize("note", NOTES, ids=[str(note.relative_to(TEMPLATE)) for note in NOTES])
def test_every_link_leads_somewhere(note: Path) -> None:
    names = {other.stem for other in NOTES} | WRITTEN_LATER
    text = re.sub(r"`[^`]*`", "", note.read_text(encoding="utf-8"))
    links = re.findall(r"\[\[([^\]|#]+)", text)
    assert [link for link in links if link.rsplit("/", 1)[-1] not in names] == []


def test_no_note_says_where_it_was_made() -> None:
    assert not [note for note in NOTES if re.search(r"/home/|/root|localhost", note.read_text())]
