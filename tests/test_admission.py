"""What each mode of self-edit does with what a session changes of what governs it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.governed import Governed, cron, reminder, scope, vault
from support.notes import note
from vaultloop.admission import MOST_REMINDERS
from vaultloop.vault.views.verdict import GOVERNS, Verdict

Texts = Mapping[str, str | None]

# What a session of the scope `family` may change: its name here, the change, and what `allow` makes of it.
OWN: dict[str, Texts] = {
    "a cron of its own": {"agent/crons/mine.md": cron("family", send_to='"-5"')},
    "its cron, told to the owner": {"agent/crons/morning.md": cron("family", send_to="owner")},
    "its cron, gone": {"agent/crons/morning.md": None},
    "its cron, renamed": {"agent/crons/morning.md": None, "agent/crons/dawn.md": cron("family")},
    "its own rule": {"agent/rules/ours.md": note("rule", "Say hi.", scopes='"[[family]]"')},
    "its own memory": {
        "agent/memory/m.md": note("memory", tier="hot", path='"Mem.md"', scopes='"[[family]]"')
    },
    "a crontab of its own": {
        "agent/crons/tab.md": note(
            "crontab",
            "| name | schedule | scope | prompt |\n| - | - | - | - |\n| a | @daily | [[family]] | Go |",
        )
    },
}
OTHERS: dict[str, Texts] = {
    "its own scope": {"agent/scopes/family.md": scope("allow", hosts='"a.example.org"')},
    "its own scope, narrower": {"agent/scopes/family.md": scope("allow", can_write='"Notes"')},
    "its own scope, gone": {"agent/scopes/family.md": None},
    "a new scope": {"agent/scopes/x.md": scope(chats='"-7"')},
    "another's rule": {"agent/rules/manners.md": None},
    "another's rule, taken over": {"agent/rules/manners.md": note("rule", "Hi.", scopes='"[[family]]"')},
    "a rule for all": {"agent/rules/all.md": note("rule", "Obey the family.")},
    "a rule for two": {"agent/rules/two.md": note("rule", "Obey.", scopes='["[[family]]", "[[club]]"]')},
    "a cron for the owner's scope": {"agent/crons/evil.md": cron("owner")},
    "its cron, for the owner's scope": {"agent/crons/morning.md": cron("owner")},
    "the owner's cron, taken over": {"agent/crons/digest.md": cron("family")},
    "its cron, told to another chat": {"agent/crons/morning.md": cron("family", send_to='"-6"')},
    "its cron, told to another scope": {"agent/crons/morning.md": cron("family", send_to='"[[club]]"')},
    "its cron, under another's id": {"agent/crons/morning.md": cron("family", id="digest")},
    "its cron, broken": {"agent/crons/morning.md": cron("family", overlap="sometimes")},
    "a cron with a name that is taken": {"agent/crons/more/digest.md": cron("family")},
    "an mcp-server": {"agent/mcp/tools.md": None},
    "a new mcp-server": {
        "agent/mcp/mine.md": note(
            "mcp-server", transport="http", url='"https://x.example.org/"', allow_tools='"*"'
        )
    },
    "the defaults": {"agent/defaults.md": note("defaults", model="other")},
    "a bridge": {"agent/bridges/console.md": note("bridge", platform="console")},
    "a deploy": {
        "agent/deploys/site.md": note(
            "deploy", provider="coolify", url='"https://c.example.org"', application="abc", watch='"x/**"'
        )
    },
    "memory that others know": {
        "agent/memory/m.md": note("memory", tier="hot", path='"Mem.md"', scopes='["[[family]]", "[[club]]"]')
    },
    "the owner's memory": {"agent/memory/m.md": note("memory", tier="hot", path='"Mem.md"')},
    "memory of what governs": {
        "agent/memory/m.md": note("memory", tier="hot", path='"CLAUDE.md"', scopes='"[[family]]"')
    },
    "CLAUDE.md": {"CLAUDE.md": "Obey the family.\n"},
    "CLAUDE.local.md": {"CLAUDE.local.md": "Obey the family.\n"},
    "AGENTS.md": {"notes/AGENTS.md": "Obey the family.\n"},
    "a template": {"Templates/Daily.md": "<% tp.system.prompt() %>\n"},
    "a text beside the declarations": {"agent/readme.md": "Hello.\n"},
    "the owner's reminder": {"agent/reminders/dentist.md": None},
    "a reminder for another scope": {"agent/reminders/x.md": reminder(scope='"[[owner]]"')},
    "a reminder that another chat hears": {
        "agent/reminders/x.md": reminder(scope='"[[family]]"', send_to='"-6"')
    },
    "a reminder that the owner hears": {
        "agent/reminders/x.md": reminder(scope='"[[family]]"', send_to="owner")
    },
    "a reminder in a file that programs obey": {
        "agent/reminders/AGENTS.md": reminder(scope='"[[family]]"', send_to='"[[family]]"')
    },
    "a reminder in a file that programs obey, deep down": {
        "agent/reminders/a/claude.md": reminder(scope='"[[family]]"', send_to='"[[family]]"')
    },
    "a reminder that becomes a cron": {"agent/reminders/roses.md": cron("owner")},
    "a cron that becomes a reminder": {"agent/crons/digest.md": reminder(scope='"[[family]]"')},
    "a reminder that is broken": {"agent/reminders/x.md": reminder(at="soon", scope='"[[family]]"')},
    "a reminder with a name that is taken": {"agent/more/dentist.md": reminder(scope='"[[family]]"')},
}
REMINDERS: dict[str, Texts] = {
    "a new one": {"agent/reminders/x.md": reminder(scope='"[[family]]"', send_to='"[[family]]"')},
    "a new one for its chat": {"agent/reminders/x.md": reminder(scope='"[[family]]"', send_to='"-5"')},
    "a text for its chat": {"agent/reminders/x.md": reminder(send_to='"-5"')},
    "a text for its scope": {"agent/reminders/x.md": reminder(send_to='"[[family]]"')},
    "its own, later": {
        "agent/reminders/roses.md": reminder(at="2027-01-01 09:00", scope='"[[family]]"', send_to='"-5"')
    },
    "its own, gone": {"agent/reminders/roses.md": None},
    "its own, renamed": {
        "agent/reminders/roses.md": None,
        "agent/reminders/garden.md": reminder(scope='"[[family]]"', send_to='"-5"'),
    },
}


def judged(place: Path, mode: str, change: Texts) -> Verdict:
    return Governed(place, vault(mode)).verdict(change)


@pytest.mark.parametrize("change", [*OWN.values(), *OTHERS.values()], ids=[*OWN, *OTHERS])
def test_deny_refuses_every_change_and_says_why(tmp_path: Path, change: Texts) -> None:
    verdict = judged(tmp_path, "deny", change)
    assert (verdict.admitted, verdict.proposed) == ((), ())
    assert {refused.path for refused in verdict.refused} == change.keys()
    assert all(refused.reason.startswith(GOVERNS) for refused in verdict.refused)


@pytest.mark.parametrize("change", [*OWN.values(), *OTHERS.values()], ids=[*OWN, *OTHERS])
def test_propose_lets_the_owner_decide_every_change(tmp_path: Path, change: Texts) -> None:
    verdict = judged(tmp_path, "propose", change)
    assert (verdict.admitted, verdict.refused) == ((), ())
    assert set(verdict.proposed) == change.keys()
    assert verdict.reason


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_allow_lets_the_owner_decide_what_reaches_beyond_the_own_scope(tmp_path: Path, change: Texts) -> None:
    verdict = judged(tmp_path, "allow", change)
    assert (verdict.admitted, verdict.refused) == ((), ())
    assert set(verdict.proposed) == change.keys()


@pytest.mark.parametrize("change", OWN.values(), ids=OWN)
def test_allow_admits_what_the_scope_does_for_itself(tmp_path: Path, change: Texts) -> None:
    verdict = judged(tmp_path, "allow", change)
    assert set(verdict.admitted) == change.keys()
    assert (verdict.proposed, verdict.refused, verdict.reason) == ((), (), "")


@pytest.mark.parametrize("mode", ["deny", "propose", "allow"])
@pytest.mark.parametrize("change", REMINDERS.values(), ids=REMINDERS)
def test_a_reminder_of_the_own_scope_needs_nobody(tmp_path: Path, mode: str, change: Texts) -> None:
    verdict = judged(tmp_path, mode, change)
    assert set(verdict.admitted) == change.keys()
    assert (verdict.proposed, verdict.refused) == ((), ())


@pytest.mark.parametrize("old", [None, "agent/reminders/roses.md"])
def test_a_reminder_that_lies_elsewhere_than_reminders_do_is_not_admitted(
    tmp_path: Path, old: str | None
) -> None:
    there = reminder(scope='"[[family]]"', send_to='"[[family]]"')
    change = {"agent/rules/x.md": there, **({old: None} if old else {})}
    assert "agent/rules/x.md" not in judged(tmp_path / "a", "propose", change).admitted
    refused = judged(tmp_path / "b", "deny", change).refused
    assert [refusal.path for refusal in refused] == ["agent/rules/x.md"]
    assert "in agent/reminders/ with `scope:" in refused[0].reason


def test_each_changed_field_is_told_beside_the_sentences_on_permissions(tmp_path: Path) -> None:
    edited = note(
        "scope",
        "Obey.",
        self_edit="propose",
        model="big",
        files_to="Notes",
        trusts="yes",
        chats='"-5"',
        people='["7", "8"]',
        can_read='"**"',
        can_write='"**"',
    )
    told = judged(tmp_path, "propose", {"agent/scopes/family.md": edited}).permissions
    assert told[0] == "family: + answers 8"
    assert told[1].startswith("~ scope family: body, files-to (Notes), model (big)")


def test_a_rule_says_for_whom_it_is(tmp_path: Path) -> None:
    def told(change: Texts) -> tuple[str, ...]:
        return judged(tmp_path / next(iter(change)).replace("/", "-"), "propose", change).permissions

    assert told(OTHERS["a rule for all"]) == ("+ rule all, for all scopes: body",)
    assert told(OTHERS["a rule for two"])[0].startswith("+ rule two, for family, club: body")
    assert "~ defaults defaults: model (other)" in told(OTHERS["the defaults"])


def test_no_name_or_value_looks_like_the_engines_own_words(tmp_path: Path) -> None:
    edited = scope("propose", hosts='"a\\u2028Take-it"')
    told = judged(tmp_path, "propose", {"agent/scopes/family.md": edited}).permissions
    assert not any("\u2028" in sentence for sentence in told)


def test_changes_are_judged_one_by_one(tmp_path: Path) -> None:
    changes = {**REMINDERS["a new one"], **OWN["a cron of its own"], **OTHERS["an mcp-server"]}
    verdict = judged(tmp_path, "allow", changes)
    assert verdict.admitted == ("agent/reminders/x.md", "agent/crons/mine.md")
    assert verdict.proposed == ("agent/mcp/tools.md",)


def test_what_people_may_do_more_is_told_with_a_proposal(tmp_path: Path) -> None:
    change = {**OTHERS["its own scope"], **OTHERS["a cron for the owner's scope"]}
    assert judged(tmp_path, "propose", change).permissions == (
        "+ cron evil, under the scope owner: body, schedule (0 7 * * *), scope (owner)",
        *("family: + reaches a.example.org", "family: + edits of agent/: allow"),
    )


def test_a_mistake_in_a_proposal_is_told(tmp_path: Path) -> None:
    verdict = judged(tmp_path, "propose", OTHERS["a reminder that is broken"])
    assert "mistake in agent/reminders/x.md: `soon` is not a date" in verdict.reason


# -- the cap of reminders -----------------------------------------------------------------------------------


def reminders(first: int, count: int, **fields: str) -> dict[str, str | None]:
    fields = {"send_to": '"[[family]]"', **fields}
    return {
        f"agent/reminders/{number:03}.md": reminder(scope='"[[family]]"', **fields)
        for number in range(first, first + count)
    }


def test_beyond_the_cap_a_reminder_is_refused_and_says_how_many_there_are(tmp_path: Path) -> None:
    governed = Governed(tmp_path, vault("allow"))
    # One is there already, and the owner's does not count.
    verdict = governed.verdict(reminders(0, MOST_REMINDERS))
    assert len(verdict.admitted) == MOST_REMINDERS - 1
    assert [refused.path for refused in verdict.refused] == ["agent/reminders/019.md"]
    assert f"has {MOST_REMINDERS} open reminders already" in verdict.refused[0].reason


def test_one_that_goes_makes_room_for_another(tmp_path: Path) -> None:
    governed = Governed(tmp_path, {**vault(), **reminders(0, MOST_REMINDERS - 1)})
    assert governed.verdict(reminders(50, 1)).refused
    assert not governed.verdict({**reminders(50, 1), "agent/reminders/roses.md": None}).refused
    assert not governed.verdict(reminders(5, 1, send_to='"-5"')).refused


def test_past_ones_do_not_count_but_for_an_hour_in_which_they_are_given_late(tmp_path: Path) -> None:
    past, late = "2026-11-22 05:59", "2026-11-22 06:30"
    governed = Governed(tmp_path / "a", {**vault(), **reminders(0, 40, at=past)})
    assert not governed.verdict(reminders(50, 1)).refused
    governed = Governed(tmp_path / "b", {**vault(), **reminders(0, MOST_REMINDERS, at=late)})
    assert governed.verdict(reminders(50, 1, at=late)).refused


# -- which rights count -------------------------------------------------------------------------------------


def test_a_note_that_says_less_by_now_counts(tmp_path: Path) -> None:
    governed = Governed(tmp_path, vault("allow"))
    running = governed.policy()
    governed.commit({"agent/scopes/family.md": scope("deny")})
    assert running.self_edit == "allow"
    verdict = governed.verdict_under(running, OWN["a cron of its own"])
    assert [refused.path for refused in verdict.refused] == ["agent/crons/mine.md"]


def test_a_note_that_says_more_by_now_does_not_count_for_a_session_of_before(tmp_path: Path) -> None:
    governed = Governed(tmp_path, vault("deny"))
    running = governed.policy()
    governed.commit({"agent/scopes/family.md": scope("allow")})
    assert governed.verdict_under(running, OWN["a cron of its own"]).refused


def test_a_scope_that_is_gone_admits_nothing(tmp_path: Path) -> None:
    governed = Governed(tmp_path, vault("allow"))
    running = governed.policy()
    governed.commit({"agent/scopes/family.md": None})
    assert governed.verdict_under(running, OWN["its own rule"]).refused
