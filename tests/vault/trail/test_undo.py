"""Taking commits back, compared with histories in which they never were."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from support.chronicle import Chronicle
from support.commits import commit, text_at, unsynced
from support.signed_lines import Writers
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.trail.undo import Reversal, Text, reversal, tree_of

NOTES = ("Inbox.md", "Plans/Garden.md", "Plans/Trip.md")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with unsynced():
        yield Repository.bare(tmp_path / "vault.git")


def then(repository: Repository, files: Mapping[str, str | None]) -> str:
    """A commit upon the branch, which moves."""
    made = commit(repository, repository.head, files)
    repository.move(repository.head, made)
    return made


def back(repository: Repository, *commits: str) -> Reversal:
    assert repository.head
    return reversal(repository, repository.head, commits)


def after(repository: Repository, found: Reversal) -> dict[str, str]:
    """All texts of the vault once something is taken back."""
    assert not found.obstacles
    assert repository.head
    files = repository.files_of_tree(tree_of(repository, repository.head, found))
    return {entry.path: files.read(entry).decode() for entry in files.under("")}


def history(repository: Repository, seed: int) -> tuple[Chronicle, str]:
    """A history of sessions and humans, some at the same time, and the session that is to be taken back."""
    random = Random(seed)
    made = Chronicle(repository, random)
    made.begin(NOTES, lines=7)
    made.edit("human 1", edits=2)
    if seed % 3:
        made.edit("session", edits=random.randint(1, 5))
    else:
        made.fork("session", "human 2", edits=random.randint(1, 4))
    for number in range(3, random.randint(4, 7)):
        if random.random() < 0.25:
            made.fork(f"human {number}", f"session {number}", edits=random.randint(1, 2))
        else:
            made.edit(f"human {number}", edits=random.randint(1, 3))
    return made, "session"


@pytest.mark.parametrize("seed", range(80))
def test_it_is_as_if_the_session_had_never_been_or_the_edited_line_is_named(
    repository: Repository, seed: int
) -> None:
    made, session = history(repository, seed)
    found = back(repository, made.commit_of[session])
    if not found.obstacles:
        assert after(repository, found) == {path: made.text(path, without=session) for path in NOTES}
    for obstacle in found.obstacles:
        behind = {writer for writer, commit in made.commit_of.items() if commit in obstacle.commits}
        assert behind
        assert session not in behind
        named = set(made.writers(obstacle.path)[obstacle.first - 1 : obstacle.last])
        # Of no line that others left alone, unless they wrote in the middle of what took its place.
        assert made.edited_since(session) or {session} < named


@pytest.mark.parametrize("seed", range(30))
def test_what_came_in_through_a_join_goes_with_all_that_the_join_made_of_it(
    repository: Repository, seed: int
) -> None:
    writers = Writers(repository, Random(seed))
    base = writers.begin()
    human = writers.commit("human", writers.edited("human", writers.lines(base)), base)
    agent = writers.commit("agent", writers.edited("agent", writers.lines(base)), base)
    join = writers.joined(*((human, agent) if seed % 2 else (agent, human)))
    evening = ["", "## Evening", "read by late 1"]
    late = writers.commit("late", [*writers.lines(join), *evening], join)
    found = reversal(repository, late, (agent,))
    assert not found.obstacles
    (text,) = found.edits.values()
    assert isinstance(text, Text)
    assert text.data.decode().splitlines() == [*writers.lines(human), *evening]


def test_what_nobody_touched_since_is_as_it_was_byte_for_byte(repository: Repository) -> None:
    before = {"New.md": None, "Old.md": "old\r\nlines", "Image.png": "\0old"}
    then(repository, {path: text for path, text in before.items() if text is not None})
    session = then(repository, {"New.md": "new\n", "Old.md": None, "Image.png": "\0new"})
    then(repository, {"Other.md": "by somebody else\n"})
    assert after(repository, back(repository, session)) == {
        "Image.png": "\0old", "Old.md": "old\r\nlines", "Other.md": "by somebody else\n",
    }  # fmt: skip


def test_of_a_note_that_it_made_only_the_lines_of_others_stay(repository: Repository) -> None:
    then(repository, {"Home.md": "home\n"})
    session = then(repository, {"Day.md": "# Today\n\n- rain\n"})
    then(repository, {"Day.md": "# Today\n\n- rain\n- called Ada\n"})
    assert after(repository, back(repository, session))["Day.md"] == "- called Ada\n"


def test_a_note_that_somebody_renamed_since_is_found(repository: Repository) -> None:
    text = "".join(f"line {number}\n" for number in range(20))
    then(repository, {"Plan.md": text})
    session = then(repository, {"Plan.md": text + "by the session\n"})
    then(repository, {"Plan.md": None, "Done/Plan of old.md": text + "by the session\nby a human\n"})
    assert after(repository, back(repository, session)) == {"Done/Plan of old.md": text + "by a human\n"}


def test_a_note_that_it_renamed_goes_back_with_what_others_wrote_there(repository: Repository) -> None:
    text = "".join(f"line {number}\n" for number in range(20))
    then(repository, {"Plan.md": text})
    session = then(repository, {"Plan.md": None, "Archive/Plan.md": text})
    then(repository, {"Archive/Plan.md": text + "by a human\n"})
    assert after(repository, back(repository, session)) == {"Plan.md": text + "by a human\n"}


def test_a_note_that_somebody_deleted_since_stays_deleted(repository: Repository) -> None:
    then(repository, {"Plan.md": "a\n", "Home.md": "home\n"})
    session = then(repository, {"Plan.md": "a\nb\n"})
    then(repository, {"Plan.md": None})
    assert back(repository, session) == Reversal()


def test_several_commits_go_together_or_not_at_all(repository: Repository) -> None:
    base = then(repository, {"Plan.md": "a\n", "Home.md": "home\n"})
    one = then(repository, {"Plan.md": "a\nb\n"})
    other = then(repository, {"Home.md": "house\n"})
    assert after(repository, back(repository, one, other)) == {"Plan.md": "a\n", "Home.md": "home\n"}
    human = then(repository, {"Home.md": "my house\n"})
    (obstacle,) = back(repository, one, other).obstacles
    assert (obstacle.path, obstacle.first, obstacle.last, obstacle.commits) == ("Home.md", 1, 1, (human,))
    assert base


def test_what_somebody_took_back_already_needs_no_edit(repository: Repository) -> None:
    then(repository, {"Plan.md": "a\nb\nc\n", "Home.md": "1\n2\n3\n"})
    session = then(repository, {"Plan.md": "a\nX\nc\n", "Home.md": "1\n3\n"})
    then(repository, {"Plan.md": "a\nb\nc\nd\n", "Home.md": "1\n2\n3\n4\n"})
    assert back(repository, session) == Reversal()


@pytest.mark.parametrize(
    ("made", "now", "why"),
    [
        ({"Plan.md": None}, {"Plan.md": "something else\n"}, "something else lies there by now"),
        ({"Plan.md": "\0b"}, {"Plan.md": "\0c"}, "it is no text, and was changed since"),
        ({"Plan.md": "a\nX\nY\nc\n"}, {"Plan.md": "a\nX\nmine\nY\nc\n"}, "somebody wrote between"),
        ({"Plan.md": "a\nX\nY\nc\n"}, {"Plan.md": "a\nc\n"}, "was deleted since"),
        ({"Plan.md": "a\nX\nc\n"}, {"Plan.md": "a\nXY\nc\n"}, "changed since"),
    ],
)
def test_an_obstacle_names_its_path_and_who_is_behind_it(
    repository: Repository, made: Mapping[str, str | None], now: Mapping[str, str | None], why: str
) -> None:
    then(repository, {"Plan.md": "a\nb\nc\n", "Home.md": "home\n"})
    session = then(repository, made)
    human = then(repository, now)
    found = back(repository, session)
    (obstacle,) = found.obstacles
    assert obstacle.path == "Plan.md"
    assert why in obstacle.why
    assert obstacle.commits == (human,)


def test_other_line_ends_since_are_nobodys_edit_and_stay(repository: Repository) -> None:
    then(repository, {"Plan.md": "a\nb\nc\n"})
    session = then(repository, {"Plan.md": "a\nX\nc\n"})
    then(repository, {"Plan.md": "a\r\nX\r\nc\r\n"})
    assert after(repository, back(repository, session)) == {"Plan.md": "a\r\nb\r\nc\r\n"}


def test_nothing_is_written_by_looking(repository: Repository) -> None:
    then(repository, {"Plan.md": "a\nb\n"})
    session = then(repository, {"Plan.md": "a\nX\n"})
    then(repository, {"Plan.md": "0\na\nX\n"})
    before = sorted(repository.path.rglob("*"))
    assert back(repository, session).edits
    assert sorted(repository.path.rglob("*")) == before
    assert text_at(repository, repository.head or "", "Plan.md") == "0\na\nX\n"
