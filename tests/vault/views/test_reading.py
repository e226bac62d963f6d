from pathlib import Path

import pytest

from support.leased import commit
from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.views.reading import Reading, asked_for, reading

POLICY = Policy("x", Audience.GROUP, can_read=("**",), except_=("private",), attachments="on-demand")


@pytest.fixture
def files(tmp_path: Path) -> RevisionFiles:
    repository = Repository.bare(tmp_path / "vault.git", "main")
    paths = ["note.md", "plan.pdf", "img/peas.png", "img/two words.png", "a/same.csv", "b/same.csv"]
    hidden = ["private/secret.pdf", "private/plan.pdf", ".obsidian/app.json"]
    return repository.files(commit(repository, {path: path for path in (*paths, *hidden)}))


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Read plan.pdf.", {"plan.pdf"}),
        ("Read `plan.pdf`, please", {"plan.pdf"}),
        ("What is on [[peas.png]]?", {"img/peas.png"}),
        ("![[peas.png|300]]", {"img/peas.png"}),
        ("![[img/two words.png]]", {"img/two words.png"}),
        ("![x](img/two%20words.png)", {"img/two words.png"}),
        ("[x](<img/two words.png> 'title')", {"img/two words.png"}),
        ('the picture "two words.png"', {"img/two words.png"}),
        ("img/peas.png and ./plan.pdf", {"img/peas.png", "plan.pdf"}),
        ("PEAS.PNG?", {"img/peas.png"}),
        ("a/same.csv", {"a/same.csv"}),
        ("same.csv", set()),
        ("[[note]] and note.md", set()),
        ("secret.pdf and private/secret.pdf and private/plan.pdf", set()),
        ("../plan.pdf and /etc/passwd and .obsidian/app.json and img", set()),
        ("nothing of the kind, e.g. 3.14", set()),
    ],
)
def test_a_prompt_names_attachments_by_link_path_or_unique_name(
    files: RevisionFiles, prompt: str, asked: set[str]
) -> None:
    assert asked_for(prompt, POLICY, files) == asked


def test_only_what_changes_the_choice_of_files_changes_its_key() -> None:
    other = Policy("y", Audience.OWNER, can_read=("**",), except_=("private",), attachments="on-demand")
    assert Reading(POLICY).key == Reading(other, frozenset({"plan.pdf"})).key
    narrower = Policy("x", Audience.GROUP, can_read=("**",), attachments="on-demand")
    assert Reading(POLICY).key != Reading(narrower).key


def test_a_prompt_asks_for_nothing_where_attachments_are_not_on_demand(files: RevisionFiles) -> None:
    everything = Policy("x", Audience.GROUP, can_read=("**",))
    assert reading(everything, files, "plan.pdf").asked == frozenset()
