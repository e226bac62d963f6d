"""Proposals, from a session's edit to the owner's word: what is said to whom, and what is in the vault."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from support.commits import commit
from support.desk import FAMILY, OWNER, Desk, OpenDesk, Scopes, ScriptedRunner, cron_turn
from support.governed import cron, reminder, scope
from support.notes import note
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.admission import SelfEdit
from vaultloop.model.conversation import OWNER as OWNERS
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.sessions.publication import MOST_WAITING
from vaultloop.state.proposals import Proposal, Proposals, ProposalState
from vaultloop.state.turns import TurnRecord
from vaultloop.vault.git.signing import AuthorClass, Signer, author_class

VAULT = {
    "Garden.md": "# Garden\n",
    "Inbox.md": "# Inbox\n",
    "CLAUDE.md": "Answer briefly.\n",
    "agent/defaults.md": note("defaults"),
    "agent/scopes/owner.md": note("scope", "Be kind.", chats="owner", can_read='"**"', can_write='"**"'),
    "agent/scopes/family.md": scope("propose", chats='"-1"', people='["7"]'),
    "agent/crons/digest.md": cron("owner"),
}
DIGEST = "agent/crons/digest.md"
EDITED = cron("owner", jitter="5m")
MAY_PROPOSE = replace(OWNER, self_edit="propose")
FAMILY_TOO = replace(FAMILY, self_edit="propose")


def desk_at(folder: Path, notes: Mapping[str, str] = VAULT) -> tuple[Desk, ScriptedRunner]:
    desk = Desk.at(folder, notes)
    desk.guard, desk.admission = Scopes(MAY_PROPOSE, FAMILY_TOO), SelfEdit(())
    return desk, desk.scripted()


async def changed(
    engine: OpenDesk, runner: ScriptedRunner, edits: Mapping[str, str], number: int = 1, **who: str
) -> TurnRecord:
    """A session answered a message by these edits."""
    await engine.say("work", number, **who)
    run = await runner.spawned.get()
    for path, text in edits.items():
        run.write(path, text)
    run.ends("Done.")
    return await engine.answered(f"console/{who.get('chat', 'owner')}/{number}")


async def ordered(desk: Desk, engine: OpenDesk, text: str, number: int) -> str:
    """What the owner's command is answered with."""
    shown = len(desk.chats.shown)
    await engine.say(text, number)
    return (await desk.chats.has(shown + 1))[shown]


def the_one(engine: OpenDesk) -> Proposal:
    (proposal,) = Proposals(engine.database).recent(10)
    return proposal


def human_pushes(desk: Desk, path: str, text: str) -> None:
    human = VaultClone(desk.folder / "human")
    human.git("pull", "-q", "origin", "main")
    human.write(path, text)
    human.commit(f"Edit {path}")
    human.git("push", "-q", "origin", "HEAD:main")


@asynchronous
async def test_the_owner_is_asked_in_the_answer_and_an_approval_names_their_act(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        record = await changed(engine, runner, {DIGEST: EDITED, "Garden.md": "tidy"})
        proposal = the_one(engine)
        (answer,) = await desk.chats.has(1)
        digits = proposal.commit[:8]
        assert answer.startswith("Not all of this is in the vault.\n\nProposal 1 waits for you.")
        assert "~ cron digest, under the scope owner: jitter (5m)\n- agent/crons/digest.md" in answer
        assert f"/approve 1 {digits}" in answer
        assert answer.endswith("Done.")
        assert proposal.draft.paths == (DIGEST,)
        assert proposal.draft.session == record.id
        await engine.pushed()
        assert desk.at_remote("Garden.md") == "tidy"
        assert desk.at_remote(DIGEST) == VAULT[DIGEST].strip()
        said = await ordered(desk, engine, f"/approve 1 {digits}", 2)
        assert said.startswith("Proposal 1 is approved, and in the vault as ")
        await engine.pushed()
        assert desk.at_remote(DIGEST) == EDITED.strip()
        settled = the_one(engine)
        assert (settled.state, settled.settled_by) == (ProposalState.APPROVED, "owner (console)")
        repository, signer = engine.sync.repository, Signer.load(desk.state)
        merge = await engine.sync.git(repository.read_commit, settled.result or "")
        assert merge.parents[1] == proposal.commit
        assert merge.trailers["Approved-By"] == "owner (console)"
        assert merge.trailers["Proposal"] == "1"
        made = await engine.sync.git(author_class, repository, proposal.commit, signer)
        assert made is AuthorClass.AGENT


@asynchronous
async def test_a_denied_one_is_not_in_the_vault_and_stays_to_be_looked_at(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        assert "Proposal 1 waits for you" in await ordered(desk, engine, "/proposals", 2)
        said = await ordered(desk, engine, "/deny 1", 3)
        assert said == "Proposal 1 is denied; nothing of it is in the vault."
        assert await ordered(desk, engine, "/proposals", 4) == "No proposal waits."
        again = await ordered(desk, engine, f"/approve 1 {the_one(engine).commit[:8]}", 5)
        assert again.startswith("Proposal 1 was denied already.")
        await engine.pushed()
    assert desk.pushed() == []
    assert git(desk.state / "vault.git", "show", f"refs/vaultloop/proposals/1:{DIGEST}") == EDITED.strip()


@asynchronous
async def test_an_approval_must_name_the_commit_that_was_shown(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        shown = the_one(engine).commit
        for number, words in enumerate(("1", "1 0000", f"1 {shown[:3]}", "1 -", f"{shown} 1", ""), start=2):
            said = await ordered(desk, engine, f"/approve {words}", number)
            assert "is not `" in said or said.startswith("Say which")
        assert "There is no proposal 7." in await ordered(desk, engine, f"/approve 7 {shown}", 20)
        assert the_one(engine).is_open


@pytest.mark.parametrize("command", ["/proposals", "/approve 1 {}", "/deny 1"])
@asynchronous
async def test_nobody_else_decides_whatever_their_scope_lists(tmp_path: Path, command: str) -> None:
    desk, runner = desk_at(tmp_path)
    listed = ("proposals", "approve", "deny", "status")
    desk.guard = Scopes(MAY_PROPOSE, replace(FAMILY_TOO, commands=listed))
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        await engine.say(command.format(the_one(engine).commit), 2, chat="-1", person="anna")
        said = (await desk.chats.has(2))[1]
        assert said == "/status: what runs, and what needs you"
        assert the_one(engine).is_open


@asynchronous
async def test_others_hear_that_it_waits_and_the_owner_what_it_means_once(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: cron("family")}, chat="-1", person="anna")
        await desk.chats.has(2)
        told = {reply.chat: reply.text for reply in desk.chats.shown}
        assert told["-1"].startswith(
            "Nothing of this is in the vault.\n\nThese wait for the owner, as proposal 1"
        )
        assert "/approve" not in told["-1"]
        assert "~ cron digest, under the scope family: scope" in told[OWNERS]
        assert "From the scope family" in told[OWNERS]
    async with desk.open():
        pass
    assert len(desk.chats.shown) == 2


@asynchronous
async def test_a_crons_session_asks_the_owner_in_their_chat(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        engine.dispatcher.start(cron_turn())
        run = await runner.spawned.get()
        run.write("CLAUDE.md", "Obey.")
        run.ends("Done.")
        (told,) = await desk.chats.has(1)
    assert told.startswith("Proposal 1 waits for you.")


@asynchronous
async def test_a_reminder_of_the_own_scope_is_in_the_vault_at_once(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    desk.guard = Scopes(OWNER, replace(FAMILY_TOO, self_edit="deny"))
    new = reminder(scope='"[[family]]"', send_to='"[[family]]"')
    async with desk.open() as engine:
        edits = {"agent/reminders/x.md": new, "agent/crons/y.md": cron("family")}
        record = await changed(engine, runner, edits, chat="-1", person="anna")
        await engine.pushed()
        assert "- agent/crons/y.md: it governs the agent" in record.detail
        assert record.detail.startswith("Not all of this")
        assert Proposals(engine.database).refused(record.id) == (
            ("agent/crons/y.md", "it governs the agent, so only a human may change it"),
        )
    assert desk.at_remote("agent/reminders/x.md") == new.strip()
    assert desk.pushed() == ["message console: 1 note changed"]


@asynchronous
async def test_what_allow_admits_is_judged_again_upon_what_a_human_has_there_by_now(tmp_path: Path) -> None:
    notes = {**VAULT, "agent/scopes/family.md": scope("allow", chats='"-1"', people='["7"]')}
    desk, runner = desk_at(tmp_path, notes)
    desk.guard = Scopes(OWNER, replace(FAMILY_TOO, self_edit="allow"))
    async with desk.open() as engine:
        await engine.say("work", 1, chat="-1", person="anna")
        run = await runner.spawned.get()
        run.write("agent/crons/mine.md", cron("family"))
        human_pushes(desk, "agent/scopes/family.md", scope("deny", chats='"-1"', people='["7"]'))
        await engine.sync.look()
        run.ends("Done.")
        await engine.answered("console/-1/1")
        assert "needs your consent now" in the_one(engine).draft.reason
        await engine.pushed()
    assert "mine.md" not in git(desk.remote, "ls-tree", "-r", "--name-only", "main")


@asynchronous
async def test_what_became_a_template_meanwhile_waits_for_the_owner(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await engine.say("work")
        run = await runner.spawned.get()
        run.write("Forms/Daily.md", "<% tp %>")
        run.write("Garden.md", "tidy")
        human_pushes(desk, ".obsidian/templates.json", '{"folder": "Forms"}')
        await engine.sync.look()
        run.ends("Done.")
        await engine.answered("console/owner/1")
        await engine.pushed()
        assert the_one(engine).draft.paths == ("Forms/Daily.md",)
        assert desk.at_remote("Garden.md") == "tidy"
    assert "Forms" not in git(desk.remote, "ls-tree", "-r", "--name-only", "main")


@asynchronous
async def test_a_commit_that_came_under_the_templates_before_its_merge_waits_as_a_whole(
    tmp_path: Path,
) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        record = await changed(engine, runner, {"Inbox.md": "one"})
        # A crash came before the merge, and the human was faster.
        made = commit(engine.sync.repository, record.base, {"Forms/Daily.md": "<% tp %>", "Garden.md": "x"})
        human_pushes(desk, ".obsidian/templates.json", '{"folder": "Forms"}')
        await engine.sync.look()
        integrated = await engine.sync.integrate(made)
        assert integrated.protected == ("Forms/Daily.md",)
        await engine.pushed()
    assert "Forms" not in git(desk.remote, "ls-tree", "-r", "--name-only", "main")
    assert desk.at_remote("Garden.md") == "# Garden"


@asynchronous
async def test_content_that_acts_waits_for_the_owner_and_the_rest_is_published(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        edits = {"Garden.md": "![](https://evil.example.org/x.png)\n", "Inbox.md": "plain\n"}
        await changed(engine, runner, edits, chat="-1", person="anna")
        await engine.pushed()
        assert "a remote image" in the_one(engine).draft.reason
        assert desk.at_remote("Inbox.md") == "plain"
        assert desk.at_remote("Garden.md") == "# Garden"
        said = await ordered(desk, engine, f"/approve 1 {the_one(engine).commit[:4]}", 9)
        assert said.startswith("Proposal 1 is approved")
        await engine.pushed()
        assert "evil" in desk.at_remote("Garden.md")


@asynchronous
async def test_one_that_conflicts_says_so_and_stays_open(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        human_pushes(desk, DIGEST, cron("owner", overlap="queue"))
        await engine.sync.look()
        shown = the_one(engine).commit
        said = await ordered(desk, engine, f"/approve 1 {shown[:8]}", 2)
        assert f"cannot be merged: {DIGEST} changed in another way" in said
        assert the_one(engine).is_open
        await engine.pushed()
    assert desk.at_remote(DIGEST) == cron("owner", overlap="queue").strip()


@asynchronous
async def test_a_vault_that_moved_on_elsewhere_takes_an_approval(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        human_pushes(desk, "agent/crons/other.md", cron("owner"))
        await engine.sync.look()
        assert "is approved" in await ordered(desk, engine, f"/approve 1 {the_one(engine).commit[:8]}", 2)
        await engine.pushed()
    assert desk.at_remote("agent/crons/other.md") == cron("owner").strip()
    assert desk.at_remote(DIGEST) == EDITED.strip()


@asynchronous
async def test_an_approval_that_a_crash_cut_off_is_made_once(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        proposal = the_one(engine)
        # The branch moved, and nothing else was written down.
        await engine.sync.approve(proposal.commit, "Approve proposal 1\n")
        said = await engine.dispatcher.approvals.approve(1, proposal.commit, "owner (cli)")
        assert "is approved" in said
        await engine.pushed()
        assert desk.pushed().count("Approve proposal 1") == 1


@asynchronous
async def test_one_whose_commit_is_lost_says_so_once(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        shown = the_one(engine).commit
        with engine.database.transaction() as change:
            change.execute('UPDATE proposals SET "commit" = ?', ("f" * 40,))
        with pytest.raises(Stalled, match="its commit is not in the repository"):
            await engine.dispatcher.approvals.approve(1, "ffff", "owner (cli)")
        assert the_one(engine).state is ProposalState.STALE
        with pytest.raises(Stalled, match="cannot be taken any more"):
            await engine.dispatcher.approvals.approve(1, shown, "owner (cli)")


@asynchronous
async def test_one_upon_a_history_that_was_rewritten_is_not_merged(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        repository = engine.sync.repository
        other = commit(repository, None, {**VAULT, "Inbox.md": "another vault"})
        await engine.sync.git(repository.move, repository.head, other)
        with pytest.raises(Stalled, match="history that it was made upon was rewritten"):
            await engine.dispatcher.approvals.approve(1, the_one(engine).commit, "owner (cli)")
        assert repository.head == other


@asynchronous
async def test_no_scope_fills_the_owners_desk(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        for number in range(MOST_WAITING):
            await changed(engine, runner, {f"agent/{number}.md": "x"}, number)
        record = await changed(engine, runner, {"agent/more.md": "x"}, MOST_WAITING)
        assert len(Proposals(engine.database).open()) == MOST_WAITING
        assert f"{MOST_WAITING} proposals of this scope wait for the owner already" in record.detail


@pytest.mark.parametrize("audience", [Audience.GROUP, Audience.PUBLIC])
@asynchronous
async def test_a_reminder_that_acts_is_not_admitted(tmp_path: Path, audience: Audience) -> None:
    desk, runner = desk_at(tmp_path)
    desk.guard = Scopes(OWNER, replace(FAMILY_TOO, audience=audience))
    text = reminder("![](https://evil.example.org/x.png)", scope='"[[family]]"', send_to='"[[family]]"')
    async with desk.open() as engine:
        await changed(engine, runner, {"agent/reminders/x.md": text}, chat="-1", person="anna")
        assert the_one(engine).draft.paths == ("agent/reminders/x.md",)
        assert "a remote image" in the_one(engine).draft.reason


# -- moves: no text leaves the vault because its new place was refused --------------------------------------


async def moved(engine: OpenDesk, runner: ScriptedRunner, old: str, new: str, text: str | None) -> TurnRecord:
    """A session of the family moves a note, perhaps with another text."""
    await engine.say("work", 1, chat="-1", person="anna")
    run = await runner.spawned.get()
    view = run.cell.view
    found = (view / old).read_text()
    (view / old).unlink()
    run.write(new, found if text is None else text)
    run.ends("Done.")
    return await engine.answered("console/-1/1")


@pytest.mark.parametrize("new", ["Garden.markdown", "agent/Garden.md", ".hidden/Garden.md"])
@pytest.mark.parametrize("text", [None, "# Garden, a little changed\n"])
@asynchronous
async def test_a_move_to_a_place_that_is_refused_leaves_the_note_where_it_was(
    tmp_path: Path, new: str, text: str | None
) -> None:
    desk, runner = desk_at(tmp_path)
    desk.guard = Scopes(OWNER, replace(FAMILY_TOO, self_edit="deny"))
    async with desk.open() as engine:
        record = await moved(engine, runner, "Garden.md", new, text)
        await engine.pushed()
        assert "Garden.md: its text might be lost" in record.detail
        assert f"- {new}" in record.detail or ".hidden" in new
    assert desk.at_remote("Garden.md") == "# Garden"


@asynchronous
async def test_a_move_that_waits_because_the_note_acts_is_decided_as_a_whole(tmp_path: Path) -> None:
    acts = "# Garden\n![](https://example.org/x.png)\n"
    desk, runner = desk_at(tmp_path, {**VAULT, "Garden.md": acts})
    async with desk.open() as engine:
        await moved(engine, runner, "Garden.md", "Roses.md", None)
        assert the_one(engine).draft.paths == ("Garden.md", "Roses.md")
        assert "this holds a remote image." in the_one(engine).draft.reason
        await engine.pushed()
        assert desk.at_remote("Garden.md") == acts.strip()


@asynchronous
async def test_a_move_beside_a_refusal_is_published_for_its_text_is_there(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await engine.say("work", 1)
        run = await runner.spawned.get()
        (run.cell.view / "Garden.md").rename(run.cell.view / "Roses.md")
        run.write("tool.py", "print()")
        run.ends("Done.")
        await engine.answered("console/owner/1")
        await engine.pushed()
    assert desk.at_remote("Roses.md") == "# Garden"
    assert "Garden.md" not in git(desk.remote, "ls-tree", "-r", "--name-only", "main")


@asynchronous
async def test_with_deny_a_reminder_that_acts_is_refused_and_never_proposed(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    desk.guard = Scopes(OWNER, replace(FAMILY_TOO, self_edit="deny"))
    text = reminder("![](https://evil.example.org/x.png)", scope='"[[family]]"', send_to='"[[family]]"')
    async with desk.open() as engine:
        edits = {"agent/reminders/x.md": text}
        record = await changed(engine, runner, edits, chat="-1", person="anna")
        assert "this holds a remote image" in record.detail
        assert Proposals(engine.database).recent(10) == []


# -- two words at once, and a crash between two steps -------------------------------------------------------


@asynchronous
async def test_of_an_approval_and_a_denial_at_once_one_is_done(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        approvals, proposal = engine.dispatcher.approvals, the_one(engine)
        both = approvals.approve(1, proposal.commit, "owner (cli)"), approvals.deny(1, "owner (cli)")
        approved, denied = await asyncio.gather(*both, return_exceptions=True)
        assert "is approved" in str(approved)
        assert isinstance(denied, Stalled)
        assert "was approved already" in str(denied)
        assert the_one(engine).state is ProposalState.APPROVED


@asynchronous
async def test_what_a_crash_left_merged_is_not_denied(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        await engine.sync.approve(the_one(engine).commit, "Approve proposal 1\n")
        with pytest.raises(Stalled, match=r"approved before, and is in the vault\. Nothing is denied"):
            await engine.dispatcher.approvals.deny(1, "owner (cli)")
        settled = the_one(engine)
        assert (settled.state, settled.result) == (ProposalState.APPROVED, engine.sync.repository.head)


@asynchronous
async def test_one_that_is_superseded_while_it_is_merged_says_both(tmp_path: Path) -> None:
    desk, runner = desk_at(tmp_path)
    async with desk.open() as engine:
        await changed(engine, runner, {DIGEST: EDITED})
        proposal, store = the_one(engine), Proposals(engine.database)
        asked = asyncio.create_task(engine.dispatcher.approvals.approve(1, proposal.commit, "owner (cli)"))
        # It began, and waits for git.
        await asyncio.sleep(0)
        store.settle(1, ProposalState.SUPERSEDED, "proposal 2", proposal.made_at)
        with pytest.raises(Stalled, match=r"superseded by a newer one while it was merged, and is in"):
            await asked


@pytest.mark.parametrize("number", ["99999999999999999999999", "9" * 5000])
@asynchronous
async def test_a_number_beyond_all_is_no_proposal(tmp_path: Path, number: str) -> None:
    desk, _ = desk_at(tmp_path)
    async with desk.open() as engine:
        assert "There is no proposal 999" in await ordered(desk, engine, f"/deny {number}", 1)
