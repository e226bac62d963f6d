from pathlib import Path

import pytest

from vaultloop.model.conversation import NOTHING_TO_SAY
from vaultloop.runners.practice import HELP, Notes, answer


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "Garden.md").write_text("# Garden\n\n- [ ] water the roses\n- [x] buy soil\n")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/Plan.md").write_text("* [ ] write it\n  1. [ ] read it\n```\n- [ ] an example\n```\n")
    return tmp_path


def say(vault: Path, prompt: str) -> str:
    return answer(prompt, Notes(vault))


def test_open_tasks_are_gathered_by_note(vault: Path) -> None:
    reply = say(vault, "Gather open tasks into Digest.md")
    assert reply == "Gathered 3 open tasks in 2 notes into [[Digest]]."
    text = (vault / "Digest.md").read_text()
    assert text.startswith("# Digest\n\n## Open tasks\n")
    assert text.endswith(
        "### [[Garden]]\n\n- [ ] water the roses\n\n### [[work/Plan]]\n\n- [ ] write it\n- [ ] read it\n"
    )


def test_gathering_again_changes_nothing(vault: Path) -> None:
    say(vault, "Gather open tasks into [[Digest]].")
    before = (vault / "Digest.md").stat()
    reply = say(vault, "gather open tasks into digest")
    assert reply == "[[Digest]] is up to date: 3 open tasks in 2 notes."
    assert (vault / "Digest.md").stat().st_mtime_ns == before.st_mtime_ns


def test_what_people_wrote_above_the_gathered_tasks_stays(vault: Path) -> None:
    (vault / "Digest.md").write_text("---\ntags: x\n---\nMine.\n")
    say(vault, "Gather open tasks into Digest")
    (vault / "Garden.md").write_text("- [x] water the roses\n")
    say(vault, "Gather open tasks into Digest")
    text = (vault / "Digest.md").read_text()
    assert text.startswith("---\ntags: x\n---\nMine.\n\n## Open tasks\n")
    assert "roses" not in text


def test_gathered_tasks_are_not_counted_again(vault: Path) -> None:
    say(vault, "Gather open tasks into Digest")
    reply = say(vault, "what is open?")
    assert reply.startswith("3 open tasks:\n- water the roses ([[Garden]])\n")


def test_a_vault_without_tasks_is_said_to_have_none(tmp_path: Path) -> None:
    assert say(tmp_path, "What is open?") == "Nothing is open."
    say(tmp_path, "Gather open tasks into Digest")
    assert "Nothing is open." in (tmp_path / "Digest.md").read_text()


def test_declarations_and_templates_hold_no_tasks(vault: Path) -> None:
    for folder in ("agent/crons", "Templates", ".trash"):
        (vault / folder).mkdir(parents=True)
        (vault / folder / "X.md").write_text("- [ ] not a task\n")
    assert "not a task" not in say(vault, "open tasks")
    assert say(vault, "how many notes are there?") == "I can see 2 notes."


def test_notes_go_to_the_inbox(tmp_path: Path) -> None:
    assert say(tmp_path, "note: buy milk") == "Added to [[Inbox]]."
    assert say(tmp_path, "Add task call Anna") == "Added to [[Inbox]]."
    assert (tmp_path / "Inbox.md").read_text() == "# Inbox\n\n- buy milk\n- [ ] call Anna\n"


def test_a_task_goes_to_a_note_that_exists_or_is_linked(vault: Path) -> None:
    assert say(vault, "add task prune to garden") == "Added to [[Garden]]."
    assert say(vault, "add task dig to [[Pond]]") == "Added to [[Pond]]."
    assert say(vault, "add task write to Anna") == "Added to [[Inbox]]."
    assert (vault / "Garden.md").read_text().endswith("- [x] buy soil\n- [ ] prune\n")
    assert "- [ ] write to Anna" in (vault / "Inbox.md").read_text()


def test_a_line_is_appended_to_a_note(vault: Path) -> None:
    assert say(vault, "append Buy seeds to Garden") == "Added to [[Garden]]."
    assert (vault / "Garden.md").read_text().endswith("- [x] buy soil\n\nBuy seeds\n")


def test_foreign_line_ends_and_bytes_survive_an_append(tmp_path: Path) -> None:
    (tmp_path / "Inbox.md").write_bytes(b"one\r\n\r\n- caf\xe9\r\n")
    say(tmp_path, "note: two")
    assert (tmp_path / "Inbox.md").read_bytes() == b"one\r\n\r\n- caf\xe9\r\n- two\r\n"


@pytest.mark.parametrize("name", ["../outside", "/etc/motd", "[[]]"])
def test_a_name_that_leads_out_of_the_vault_is_refused(vault: Path, name: str) -> None:
    assert "is not the name of a note" in say(vault, f"append x to {name}")
    assert not (vault.parent / "outside.md").exists()


def test_several_lines_are_followed_one_after_the_other(vault: Path) -> None:
    reply = say(vault, "Good morning!\nnote: first\nhow many notes are there?")
    assert reply == "Added to [[Inbox]].\nI can see 3 notes."


def test_anything_else_is_answered_with_what_is_possible(vault: Path) -> None:
    assert say(vault, "help") == HELP
    assert say(vault, "Explain the world").endswith(HELP)


def test_silence_is_chosen_where_it_is_offered_and_nothing_is_open(vault: Path) -> None:
    offered = f"Answer with {NOTHING_TO_SAY} if there is nothing."
    assert answer("what is open?", Notes(vault), instructions=offered).startswith("3 open tasks:")
    (vault / "Garden.md").unlink()
    (vault / "work/Plan.md").unlink()
    assert answer("what is open?", Notes(vault), instructions=offered) == NOTHING_TO_SAY
    assert answer("what is open?", Notes(vault)) == "Nothing is open."
    assert answer("say nothing", Notes(vault)) == NOTHING_TO_SAY
