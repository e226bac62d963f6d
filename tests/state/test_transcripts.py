"""What conversations go on from."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from vaultloop.model.cell import Transcript
from vaultloop.state.database import Database
from vaultloop.state.transcripts import Transcripts

HERE = "telegram/-100 1/.."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Transcripts]:
    with Database(tmp_path / "engine.db") as database:
        yield Transcripts(database, tmp_path / "transcripts")


def kept(store: Transcripts, text: str, turn: str = "t1", policy: str = "p") -> Path:
    file = store.write(BytesIO(text.encode()), HERE, turn)
    store.keep(HERE, policy, Transcript("uuid", file, 0.5))
    store.tidy(HERE)
    return file


def test_a_conversation_goes_on_from_what_was_kept_last(store: Transcripts) -> None:
    assert store.find(HERE, "p") is None
    first = kept(store, "one")
    second = kept(store, "two", "t2")
    found = store.find(HERE, "p")
    assert found == Transcript("uuid", second, 0.5)
    assert second.read_text() == "two"
    assert not first.exists()


def test_it_lies_closed_to_others_below_its_folder_however_a_chat_is_called(
    store: Transcripts, tmp_path: Path
) -> None:
    file = kept(store, "secret")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.parent.parent == tmp_path / "transcripts"


def test_what_was_written_and_not_kept_changes_nothing(store: Transcripts) -> None:
    file = kept(store, "one")
    late = store.write(BytesIO(b"two"), HERE, "t2")
    found = store.find(HERE, "p")
    assert found is not None
    assert found.file == file
    store.tidy(HERE)
    assert not late.exists()
    assert file.read_text() == "one"


def test_under_another_policy_a_conversation_starts_afresh(store: Transcripts) -> None:
    wide = kept(store, "what only the wide scope may know", policy="wide")
    assert store.find(HERE, "narrow") is None
    kept(store, "small talk", "t2", policy="narrow")
    assert store.find(HERE, "wide") is None
    assert not wide.exists()


def test_another_conversation_knows_nothing_of_it(store: Transcripts) -> None:
    kept(store, "one")
    assert store.find("telegram/-100 2/..", "p") is None


@pytest.mark.parametrize("how", ["forgotten", "file lost"])
def test_what_is_forgotten_or_lost_is_not_continued(store: Transcripts, how: str) -> None:
    file = kept(store, "one")
    if how == "forgotten":
        store.forget(HERE)
        store.tidy(HERE)
        assert not file.exists()
    else:
        file.unlink()
    assert store.find(HERE, "p") is None
