"""Branch and remote kept equal: what is taken, joined, pushed, and when sync stands still instead."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.git_server import GitServer, bare_repository, git_server
from support.run import asynchronous
from support.ssh_server import ssh_server
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.status import PushState
from vaultloop.vault.git.signing import Signer, author_class
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.transport import callbacks
from vaultloop.vault.transport.remote import Credentials


class Setting:
    """A remote, a human's clone of it, and where the engine keeps its state."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.origin = bare_repository(folder / "served" / "vault.git")
        self.server = server
        self.state = folder / "state"
        self.human = VaultClone.of(self.origin, folder / "human")

    def sync(self) -> Sync:
        return Sync(self.state, VirtualClock(NOON), remote=self.server.url("vault.git"))

    def push(self, path: str, text: str) -> str:
        """The human saves and pushes one file."""
        saved = self.human.save(path, text)
        self.human.push()
        return saved

    def push_directly(self, path: str, text: str) -> str:
        """As `push`, but past the server: from inside of one of its own answers."""
        saved = self.human.save(path, text)
        self.human.git("push", "-q", str(self.origin), "HEAD")
        return saved

    @property
    def remote_head(self) -> str:
        return git(self.origin, "rev-parse", "main")


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    (tmp_path / "served").mkdir()
    with git_server(tmp_path / "served") as server:
        yield Setting(tmp_path, server)


async def _agent(sync: Sync, base: str | None, path: str, text: str | None) -> str:
    return await sync.git(commit, sync.repository, base, {path: text})


def _paused(sync: Sync) -> str:
    return sync.paused or ""


async def _text(sync: Sync, path: str) -> str | None:
    head = await sync.git(lambda: sync.repository.head)
    assert head is not None
    return await sync.git(text_at, sync.repository, head, path)


# -- taking ------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_push_of_a_human_is_what_the_next_look_returns(setting: Setting) -> None:
    async with setting.sync() as sync:
        assert await sync.look() is None
        first = setting.push("note.md", "one")
        assert await sync.look() == first
        second = setting.push("note.md", "two")
        assert await sync.look() == second
        assert sync.push_state.state is PushState.PUSHED


@asynchronous
async def test_a_look_without_news_asks_for_the_heads_once_and_reads_no_tree(setting: Setting) -> None:
    setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        trees, polls, requests = sync.effort.trees, sync.effort.polls, len(setting.server.requests)
        await sync.look()
        assert (sync.effort.trees, sync.effort.polls) == (trees, polls + 1)
        assert len(setting.server.requests) == requests + 1
        assert (sync.effort.stats, sync.effort.walks) == (0, 0)


@asynchronous
async def test_the_remotes_default_branch_is_followed_unless_one_is_set(setting: Setting) -> None:
    git(setting.origin, "symbolic-ref", "HEAD", "refs/heads/trunk")
    setting.human.git("checkout", "-q", "--orphan", "trunk")
    first = setting.push("note.md", "one")
    async with setting.sync() as sync:
        assert await sync.look() == first
        assert sync.repository.branch == "trunk"
    async with Sync(
        setting.state / "other", VirtualClock(NOON), remote=str(setting.origin), branch="main"
    ) as other:
        assert await other.look() is None


@asynchronous
async def test_a_remote_that_is_away_is_trouble_with_a_date_and_no_exception(setting: Setting) -> None:
    first = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        away = setting.origin.rename(setting.origin.with_suffix(".away"))
        assert await sync.look() == first
        assert sync.remote_trouble is not None
        assert "404" in sync.remote_trouble
        assert sync.remote_trouble_since == NOON
        away.rename(setting.origin)
        await sync.look()
        assert sync.remote_trouble is None


@asynchronous
async def test_over_ssh_a_humans_push_is_taken_and_an_answer_comes_back(tmp_path: Path) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    with ssh_server(tmp_path / "ssh") as server:
        human = VaultClone.of(server.url(origin), tmp_path / "human", env=server.git_environment)
        first = human.save("note.md", "one")
        human.push()
        async with Sync(
            tmp_path / "state",
            VirtualClock(NOON),
            remote=server.url(origin),
            credentials=Credentials(ssh_key=server.key),
            known_hosts=server.known_hosts,
        ) as sync:
            assert await sync.look() == first
            theirs = human.save("note.md", "two")
            human.push()
            await sync.integrate(await _agent(sync, first, "answer.md", "42"))
            assert (await sync.push()).state is PushState.PUSHED
            head = await sync.look()
            assert head is not None
            assert theirs in (await sync.git(sync.repository.read_commit, head)).parents
        human.pull()
        assert human.read("answer.md") == "42"


@asynchronous
async def test_a_host_key_that_is_not_known_is_trouble_with_its_cure_and_nothing_is_taken(
    tmp_path: Path,
) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    stranger = tmp_path / "known_hosts"
    stranger.touch()
    with ssh_server(tmp_path / "ssh") as server:
        async with Sync(
            tmp_path / "state",
            VirtualClock(NOON),
            remote=server.url(origin),
            credentials=Credentials(ssh_key=server.key),
            known_hosts=stranger,
        ) as sync:
            assert await sync.look() is None
            assert "ssh-keyscan" in (sync.remote_trouble or "")


# -- pushing -----------------------------------------------------------------------------------------------


@asynchronous
async def test_the_first_push_fills_an_empty_remote(setting: Setting) -> None:
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, None, "note.md", "hello")
        assert (await sync.integrate(mine)).revision == mine
        assert (await sync.push()).state is PushState.PUSHED
    assert setting.remote_head == mine


@asynchronous
async def test_a_sessions_commit_arrives_in_the_humans_pull_and_verifies(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        signer = Signer.make(setting.state)
        mine = await sync.git(commit, sync.repository, base, {"answer.md": "42"}, signer=signer)
        await sync.integrate(mine)
        await sync.push()
        assert await sync.git(author_class, sync.repository, mine, signer) == "agent"
        assert await sync.git(author_class, sync.repository, base, signer) == "human"
    setting.human.pull()
    assert setting.human.read("answer.md") == "42"
    signers = setting.state / "allowed"
    signers.write_text(signer.allowed_signers)
    setting.human.git("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", mine)


@asynchronous
async def test_a_push_with_nothing_new_asks_nobody(setting: Setting) -> None:
    setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        requests = len(setting.server.requests)
        assert (await sync.push()).state is PushState.PUSHED
        assert len(setting.server.requests) == requests


@asynchronous
async def test_a_push_that_loses_a_race_before_it_begins_joins_and_pushes_again(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        theirs = setting.push("human.md", "theirs")
        mine = await _agent(sync, base, "agent.md", "mine")
        await sync.integrate(mine)
        assert (await sync.push()).state is PushState.PUSHED
        joined = await sync.git(sync.repository.read_commit, setting.remote_head)
    assert set(joined.parents) == {mine, theirs}


@asynchronous
async def test_a_push_that_loses_a_race_while_it_is_under_way_joins_and_pushes_again(
    setting: Setting,
) -> None:
    base = setting.push("note.md", "one")
    raced: list[str] = []

    def race(method: str, path: str) -> None:
        if method == "POST" and path.endswith("git-receive-pack") and len(raced) < 1:
            raced.append(setting.push_directly("human.md", "theirs"))

    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, "agent.md", "mine")
        await sync.integrate(mine)
        setting.server.before = race
        assert (await sync.push()).state is PushState.PUSHED
        joined = await sync.git(sync.repository.read_commit, setting.remote_head)
    assert set(joined.parents) == {mine, raced[0]}


@asynchronous
async def test_a_push_that_the_remote_refuses_is_stranded_with_its_reason_and_recovers(
    setting: Setting,
) -> None:
    base = setting.push("note.md", "one")
    hook = setting.origin / "hooks" / "update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    async with setting.sync() as sync:
        await sync.look()
        await sync.integrate(await _agent(sync, base, "agent.md", "mine"))
        push = await sync.push()
        assert push.state is PushState.STRANDED
        assert "hook declined" in push.message
        hook.unlink()
        assert (await sync.push()).state is PushState.PUSHED
        assert sync.push_state.message == ""


@asynchronous
async def test_a_push_to_a_remote_that_is_away_is_stranded_and_goes_out_later(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, "agent.md", "mine")
        await sync.integrate(mine)
        away = setting.origin.rename(setting.origin.with_suffix(".away"))
        push = await sync.push()
        assert (push.state, push.since) == (PushState.STRANDED, NOON)
        away.rename(setting.origin)
        assert (await sync.push()).state is PushState.PUSHED
    assert setting.remote_head == mine


@asynchronous
async def test_the_push_state_is_known_again_after_a_restart(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
    async with setting.sync() as sync:
        states = [sync.push_state.state]
        await sync.integrate(await _agent(sync, base, "agent.md", "mine"))
        states.append(sync.push_state.state)
    assert states == [PushState.PUSHED, PushState.LOCAL]


# -- two writers -------------------------------------------------------------------------------------------


@asynchronous
async def test_changes_of_different_files_are_joined_by_a_commit_with_two_parents(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, "notes/agent.md", "mine")
        await sync.integrate(mine)
        theirs = setting.push("notes/human.md", "theirs")
        head = await sync.look()
        assert head is not None
        assert (await sync.git(sync.repository.read_commit, head)).parents == (mine, theirs)
        assert await _text(sync, "notes/agent.md") == "mine"
        assert await _text(sync, "notes/human.md") == "theirs"
        assert not _paused(sync)


@asynchronous
async def test_a_note_that_both_changed_holds_both_texts_and_everybody_gets_it(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        signer = Signer.make(setting.state)
        mine = await sync.git(commit, sync.repository, base, {"note.md": "mine"}, signer=signer)
        await sync.integrate(mine)
        theirs = setting.push("note.md", "theirs")
        head = await sync.look()
        assert head is not None
        merge = await sync.git(sync.repository.read_commit, head)
        assert merge.parents == (mine, theirs)
        assert "- note.md: " in merge.body
        assert not sync.attention
        assert (await sync.push()).state is PushState.PUSHED
    setting.human.pull()
    joined = setting.human.read("note.md")
    assert joined.startswith("theirs\n")
    assert "> [!conflict]- agent, 2026-11-22" in joined
    assert "> mine" in joined


@asynchronous
async def test_a_note_that_one_deleted_and_the_other_changed_stays_changed(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        await sync.integrate(await _agent(sync, base, "note.md", "mine"))
        setting.human.remove("note.md")
        setting.human.push()
        await sync.look()
        assert not sync.attention
        assert await _text(sync, "note.md") == "mine"


# -- what waits for its owner ------------------------------------------------------------------------------


@asynchronous
async def test_a_declaration_that_two_people_changed_is_held_with_both_versions_until_one_decides(
    setting: Setting,
) -> None:
    cron = "agent/crons/digest.md"
    base = setting.push(cron, "kind: cron\n")
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, cron, "kind: cron # mine\n")
        await sync.git(sync.repository.move, base, mine)
        setting.push(cron, "kind: cron # theirs\n")
        await sync.look()
        assert await _text(sync, cron) == "kind: cron\n"
        assert not _paused(sync)
        shown = re.findall(r" show ([0-9a-f]+):agent/crons/digest.md", sync.attention or "")
        texts = {await sync.git(text_at, sync.repository, commit, cron) for commit in shown}
        assert texts == {"kind: cron # mine\n", "kind: cron # theirs\n"}
        # As it can be typed anywhere, where the repository is not that of a folder.
        git_dir = sync.own_repository
        assert (f" git --git-dir {git_dir} show " if git_dir else " git show ") in (sync.attention or "")
        assert sync.figures()["held"] == 1
        await sync.push()
    async with setting.sync() as sync:
        await sync.look()
        assert cron in (sync.attention or "")
        setting.human.pull()
        setting.push(cron, "kind: cron # decided\n")
        await sync.look()
        assert not sync.attention
        assert sync.figures()["held"] == 0
        assert not await sync.git(sync.repository.keeps, "held/")


@asynchronous
@pytest.mark.parametrize("decided", [False, True])
async def test_a_merge_of_others_that_left_a_declaration_as_before_both_holds_it_until_it_is_edited(
    setting: Setting, *, decided: bool
) -> None:
    cron, human = "agent/crons/digest.md", setting.human
    base = setting.push(cron, "kind: cron\n")
    async with setting.sync() as sync:
        await sync.look()
        there = human.save(cron, "kind: cron # there\n")
        human.git("reset", "-q", "--hard", base)
        here = human.save(cron, "kind: cron # here\n")
        human.git("merge", "-q", "-s", "ours", "--no-commit", there)
        human.git("checkout", base, "--", cron)
        human.git("commit", "-q", "-m", "Other work")
        if decided:
            human.save(cron, "kind: cron # decided\n")
        setting.push("note.md", "later\n")
        await sync.look()
        if not decided:
            shown = re.findall(r" show ([0-9a-f]+):agent/crons/digest.md", sync.attention or "")
            assert shown == [here[:12], there[:12]]
            setting.push(cron, "kind: cron\n\n")
            await sync.look()
        assert not sync.attention
        assert not await sync.git(sync.repository.keeps, "held/")


@asynchronous
async def test_a_merge_of_others_that_took_one_side_of_a_declaration_holds_nothing(setting: Setting) -> None:
    cron, human = "agent/crons/digest.md", setting.human
    base = setting.push(cron, "kind: cron\n")
    async with setting.sync() as sync:
        await sync.look()
        there = human.save(cron, "kind: cron # there\n")
        human.git("reset", "-q", "--hard", base)
        human.save("agent/rules/here.md", "Here.\n")
        human.save(cron, "kind: cron # here\n")
        human.git("merge", "-q", "-s", "ours", there)
        human.git("rm", "-q", "agent/rules/here.md")
        human.git("commit", "-q", "--amend", "--no-edit")
        human.push()
        await sync.look()
        assert not sync.attention


@asynchronous
async def test_conflict_markers_that_a_human_pushed_are_taken_out_by_a_commit_of_its_own(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.push("note.md", "one\n")
    async with setting.sync() as sync:
        await sync.look()
        marked = "begin\n<<<<<<< HEAD\nmine\n=======\ntheirs\n>>>>>>> origin/main\nend\n"
        theirs = setting.push("note.md", marked)
        head = await sync.look()
        assert head is not None
        mend = await sync.git(sync.repository.read_commit, head)
        assert (mend.parents, mend.subject) == ((theirs,), "Take conflict markers out of note.md")
        text = await _text(sync, "note.md") or ""
        assert all(line in text for line in ("begin\n", "mine\n", "theirs\n", "end\n"))
        assert not any(marker in text for marker in ("<<<<<<<", "=======", ">>>>>>>"))
        assert "took conflict markers out of note.md" in caplog.text
        assert (await sync.push()).state is PushState.PUSHED
        assert await sync.look() == head
        assert sync.figures()["mended"] == 1


@asynchronous
async def test_a_declaration_that_arrives_with_conflict_markers_is_left_as_it_is(setting: Setting) -> None:
    setting.push("agent/crons/digest.md", "kind: cron\n")
    async with setting.sync() as sync:
        await sync.look()
        marked = "<<<<<<< HEAD\nkind: cron\n=======\nkind: rule\n>>>>>>> main\n"
        theirs = setting.push("agent/crons/digest.md", marked)
        assert await sync.look() == theirs
        assert await _text(sync, "agent/crons/digest.md") == marked


# -- rewritten histories -----------------------------------------------------------------------------------


@asynchronous
async def test_a_rewritten_history_is_not_followed_and_the_old_one_is_kept(setting: Setting) -> None:
    setting.push("note.md", "one")
    old = setting.push("note.md", "two")
    async with setting.sync() as sync:
        await sync.look()
        setting.human.git("reset", "-q", "--hard", "HEAD^")
        setting.human.save("note.md", "rewritten")
        setting.human.push("--force")
        assert await sync.look() == old
        assert "rewritten" in _paused(sync)
        assert await sync.git(sync.repository.kept, f"rescue/{old}") == old
    assert setting.remote_head == setting.human.head


@asynchronous
async def test_a_rewritten_history_that_is_put_back_is_followed_again(setting: Setting) -> None:
    setting.push("note.md", "one")
    setting.push("note.md", "two")
    async with setting.sync() as sync:
        await sync.look()
        setting.human.git("reset", "-q", "--hard", "HEAD^")
        setting.human.save("note.md", "rewritten")
        setting.human.push("--force")
        await sync.look()
        assert _paused(sync)
        setting.human.git("merge", "-q", "-s", "ours", "--no-edit", "ORIG_HEAD")
        setting.human.push()
        assert await sync.look() == setting.human.head
        assert not _paused(sync)


@asynchronous
async def test_a_branch_that_vanishes_from_the_remote_pauses_sync(setting: Setting) -> None:
    first = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        git(setting.origin, "update-ref", "-d", "refs/heads/main")
        assert await sync.look() == first
        assert "gone" in _paused(sync)
        setting.human.push()
        await sync.look()
        assert not _paused(sync)


@asynchronous
async def test_another_vault_at_the_remote_is_not_mixed_into_this_one(
    setting: Setting, tmp_path: Path
) -> None:
    first = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
    stranger = bare_repository(tmp_path / "stranger.git")
    other = VaultClone.of(stranger, tmp_path / "other")
    other.save("else.md", "else")
    other.push()
    async with Sync(setting.state, VirtualClock(NOON), remote=str(stranger)) as sync:
        assert await sync.look() == first
        assert "another vault" in _paused(sync)


# -- sessions' commits -------------------------------------------------------------------------------------


@asynchronous
async def test_integrating_twice_is_integrating_once(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, "a.md", "mine")
        other = await _agent(sync, base, "b.md", "other")
        await sync.integrate(mine)
        joined = await sync.integrate(other)
        assert await sync.integrate(other) == joined == await sync.integrate(mine)


@asynchronous
async def test_a_sessions_commit_on_an_older_revision_is_joined(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, "agent.md", "mine")
        theirs = setting.push("human.md", "theirs")
        await sync.look()
        done = await sync.integrate(mine)
        assert done.parked == ()
        assert (await sync.git(sync.repository.read_commit, done.revision)).parents == (theirs, mine)
        assert await sync.git(sync.repository.signature, done.revision) is None


@asynchronous
async def test_a_sessions_commit_on_files_that_a_human_changed_meanwhile_arrives_and_says_how(
    setting: Setting,
) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        signer = Signer.make(setting.state)
        edits = {"note.md": "mine", "new.md": "new"}
        mine = await sync.git(commit, sync.repository, base, edits, signer=signer)
        theirs = setting.push("note.md", "theirs")
        await sync.look()
        done = await sync.integrate(mine)
        assert (done.parked, done.protected, done.contested) == ((), (), ())
        assert [note.partition(":")[0] for note in done.notes] == ["note.md"]
        merge = await sync.git(sync.repository.read_commit, done.revision)
        assert merge.parents == (theirs, mine)
        text = await _text(sync, "note.md") or ""
        assert text.startswith("theirs\n")
        assert "> mine" in text
        assert await _text(sync, "new.md") == "new"


# -- between two polls -------------------------------------------------------------------------------------


@asynchronous
async def test_a_branch_that_was_deleted_since_the_last_poll_is_not_made_again_by_a_push(
    setting: Setting,
) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        await sync.integrate(await _agent(sync, base, "agent.md", "mine"))
        git(setting.origin, "update-ref", "-d", "refs/heads/main")
        assert (await sync.push()).state is PushState.STRANDED
        assert "gone" in _paused(sync)
        assert await sync.git(sync.repository.kept, f"rescue/{base}") == base
    assert git(setting.origin, "for-each-ref") == ""


@asynchronous
async def test_a_branch_that_was_set_back_since_the_last_poll_is_not_overwritten_by_a_push(
    setting: Setting,
) -> None:
    older = setting.push("note.md", "one")
    base = setting.push("note.md", "a secret")
    async with setting.sync() as sync:
        await sync.look()
        await sync.integrate(await _agent(sync, base, "agent.md", "mine"))
        git(setting.origin, "update-ref", "refs/heads/main", older)
        assert (await sync.push()).state is PushState.STRANDED
        assert "rewritten" in _paused(sync)
        assert await sync.git(sync.repository.kept, f"rescue/{base}") == base
    assert setting.remote_head == older


@asynchronous
async def test_a_fetch_that_ends_well_and_brings_nothing_is_trouble_until_it_does(setting: Setting) -> None:
    first = setting.push("note.md", "one")
    asked: list[str] = []

    def taken_away(method: str, path: str) -> None:
        asked.append(path)
        if len(asked) == 2:
            # Between the answer that named the branch and the fetch of it.
            git(setting.origin, "update-ref", "-d", "refs/heads/main")

    async with setting.sync() as sync:
        setting.server.before = taken_away
        assert await sync.look() is None
        assert f"sent nothing of {first[:12]}" in (sync.remote_trouble or "")
        git(setting.origin, "update-ref", "refs/heads/main", first)
        assert await sync.look() == first
        assert sync.remote_trouble is None


@asynchronous
async def test_a_transfer_that_does_not_end_is_given_up_and_is_trouble(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "TRANSFER_TIMEOUT", -1.0)
    setting.push("note.md", "one")
    async with setting.sync() as sync:
        assert await sync.look() is None
        assert "did not end and was given up" in (sync.remote_trouble or "")


# -- names that are no text --------------------------------------------------------------------------------


@asynchronous
async def test_a_pushed_name_that_is_not_utf_8_stays_in_git_and_stops_nothing(setting: Setting) -> None:
    base = setting.push("note.md", "one")
    async with setting.sync() as sync:
        await sync.look()
        mine = await _agent(sync, base, "mine.md", "mine")
        await sync.integrate(mine)
        for odd in (b"f\xfcr.md", b"d\xe9j\xe0/vu.md"):
            file = setting.human.path / os.fsdecode(odd)
            file.parent.mkdir(exist_ok=True)
            file.write_text("odd")
        setting.human.commit()
        setting.human.push()
        head = await sync.look()
        assert head is not None
        assert not _paused(sync)
        assert await _text(sync, "mine.md") == "mine"
        files = await sync.git(lambda: [e.path for e in sync.repository.files(head).under("")])
        assert files == ["mine.md", "note.md"]
        assert (await sync.push()).state is PushState.PUSHED
    names = git(setting.origin, "-c", "core.quotePath=true", "ls-tree", "-r", "--name-only", "main")
    assert names.splitlines() == ['"d\\351j\\340/vu.md"', '"f\\374r.md"', "mine.md", "note.md"]
    git(setting.origin, "fsck", "--strict")
