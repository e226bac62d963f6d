"""Only what somebody stands behind may run: every commit of a range counts, with real git signatures."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pygit2.enums import ObjectType

from support.commits import NOON, commit
from support.signing_human import Seal, SshKey, repository_of, signs_with
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass, Signer
from vaultloop.vault.merge.tree import Merger
from vaultloop.vault.sync.allowed_signers import AllowedSigners
from vaultloop.vault.sync.trust import Coverage, Trust
from vaultloop.vault.sync.vetting import Vetting

SCOPE = "agent/scopes/owner.md"
RULE = "agent/rules/be-kind.md"


@dataclass(frozen=True)
class People:
    """Ada is allowed, Mallory is not; the engine has a key of its own."""

    ada: SshKey
    mallory: SshKey
    engine: Signer


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    place = tmp_path_factory.mktemp("keys")
    (place / "state").mkdir()
    return People(SshKey(place / "ada"), SshKey(place / "mallory"), Signer.make(place / "state"))


class Desk:
    """A human's clone, the engine's view of it, and who is trusted."""

    def __init__(self, place: Path, people: People) -> None:
        self.people = people
        self.signers = place / "allowed_signers"
        self.allow(people.ada.line())
        self.human = VaultClone.fresh(place / "vault")
        self.first = self.human.save("Home.md", "# Home\n")
        self.repository = repository_of(self.human)

    def allow(self, *lines: str) -> None:
        self.signers.write_text("".join(lines))

    def trust(self, coverage: Coverage = Coverage.PROTECTED, *, folder: bool = False) -> Trust:
        vetting = Vetting(coverage, AllowedSigners(self.signers), self.people.engine)
        return Trust(vetting, folder=folder, clock=VirtualClock(NOON))

    def save(self, path: str, text: str, key: SshKey | None = None, message: str | None = None) -> str:
        signs_with(self.human, key)
        return self.human.save(path, text, message)

    def merge(self, other: str, *options: str, key: SshKey | None = None) -> str:
        signs_with(self.human, key)
        self.human.git("merge", "-q", "--no-ff", "--no-edit", *options, other)
        return self.human.head

    def refusal(self, coverage: Coverage = Coverage.PROTECTED, tip: str | None = None) -> str | None:
        """Of what was committed since the beginning, by the human or as `tip`."""
        return self.trust(coverage).refusal(self.elsewhere(), self.first, tip or self.human.head)

    def elsewhere(self) -> Repository:
        # The branch that is followed stands at the first commit, whatever the human has by now.
        repository = repository_of(self.human)
        repository.branch = "followed"
        self.human.git("branch", "-f", "followed", self.first)
        return repository


@pytest.fixture
def desk(tmp_path: Path, people: People) -> Desk:
    return Desk(tmp_path, people)


def dated(monkeypatch: pytest.MonkeyPatch, date: str) -> None:
    monkeypatch.setenv("GIT_AUTHOR_DATE", date)
    monkeypatch.setenv("GIT_COMMITTER_DATE", date)


# Whose commits count.


def test_what_an_allowed_signer_signed_counts(desk: Desk) -> None:
    desk.save(SCOPE, "signed", desk.people.ada)
    assert desk.refusal() is None


def test_an_unsigned_change_of_a_protected_path_is_refused_with_commit_path_and_cure(desk: Desk) -> None:
    bad = desk.save(SCOPE, "unsigned")
    said = desk.refusal() or ""
    assert f"{bad[:12]} changes {SCOPE} and is not signed" in said
    assert f"Vouches-for: {bad}" in said


def test_ordinary_notes_need_no_signature_unless_all_do(desk: Desk) -> None:
    desk.save("Inbox.md", "unsigned")
    assert desk.refusal() is None
    assert "is not signed" in (desk.refusal(Coverage.ALL) or "")


def test_one_bad_commit_in_the_middle_of_a_range_holds_all_of_it(desk: Desk) -> None:
    desk.save(SCOPE, "one", desk.people.ada)
    bad = desk.save(SCOPE, "two")
    desk.save(SCOPE, "one", desk.people.ada)
    tip = desk.save(RULE, "three", desk.people.ada)
    said = desk.refusal() or ""
    assert bad[:12] in said
    assert tip[:12] not in said


def test_a_signed_commit_may_vouch_for_a_bad_one_that_it_names(desk: Desk) -> None:
    bad = desk.save(SCOPE, "two")
    desk.save("Inbox.md", "x", message=f"Look\n\nVouches-for: {bad}")
    assert bad[:12] in (desk.refusal() or "")
    desk.save("Inbox.md", "y", desk.people.mallory, f"Look\n\nVouches-for: {bad}")
    assert bad[:12] in (desk.refusal() or "")
    desk.save("Inbox.md", "z", desk.people.ada, f"Look\n\nVouches-for: {bad}")
    assert desk.refusal() is None


def test_no_session_vouches_for_a_human(desk: Desk) -> None:
    bad = desk.save(SCOPE, "two")
    repository = desk.repository
    tip = commit(
        repository, bad, {"a.md": "x"}, signer=desk.people.engine, message=f"A\n\nVouches-for: {bad}\n"
    )
    assert bad[:12] in (desk.refusal(tip=tip) or "")


def test_a_strangers_signature_does_not_count_and_is_named_by_its_fingerprint(desk: Desk) -> None:
    desk.save(SCOPE, "x", desk.people.mallory)
    assert "is signed with SHA256:" in (desk.refusal() or "")


def test_the_engines_own_signature_counts_and_its_trailers_without_it_do_not(desk: Desk) -> None:
    repository, trailers = desk.repository, "Answer\n\nSession: s1\nScope: owner\n"
    signed = commit(repository, desk.first, {RULE: "x"}, signer=desk.people.engine, message=trailers)
    assert desk.refusal(tip=signed) is None
    forged = commit(repository, desk.first, {RULE: "x"}, message=trailers)
    assert "is not signed" in (desk.refusal(tip=forged) or "")


def test_several_keys_and_names_may_stand_in_the_file(desk: Desk) -> None:
    desk.allow("# who may\n", desk.people.ada.line("", "ada@example.org"), desk.people.mallory.line("", "*"))
    desk.save(SCOPE, "x", desk.people.mallory)
    desk.save(SCOPE, "y", desk.people.ada)
    assert desk.refusal() is None


def test_a_certificate_counts_if_its_authority_does(desk: Desk, tmp_path: Path) -> None:
    authority, bob = SshKey(tmp_path / "authority"), SshKey(tmp_path / "bob")
    certificate = bob.certified_by(authority, "bob@example.org")
    signs_with(desk.human, certificate)
    desk.human.save(SCOPE, "x")
    assert "does not count" in (desk.refusal() or "")
    desk.allow(authority.line('cert-authority,namespaces="git"', "*@example.org"))
    assert desk.refusal() is None


def test_a_file_of_signers_that_cannot_be_read_is_said_and_nothing_counts(desk: Desk) -> None:
    desk.save(SCOPE, "x", desk.people.ada)
    desk.signers.unlink()
    with pytest.raises(Stalled, match="allowed_signers cannot be read"):
        desk.refusal()


def test_a_key_that_is_taken_off_the_list_counts_no_more(desk: Desk) -> None:
    trust = desk.trust()
    tip = desk.save(SCOPE, "x", desk.people.ada)
    repository = desk.elsewhere()
    assert trust.refusal(repository, desk.first, tip) is None
    desk.allow(desk.people.mallory.line())
    assert trust.refusal(repository, desk.first, tip) is not None


# When a key counts.


def test_a_key_counts_only_within_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    dated(monkeypatch, "2026-11-21T12:00:00+00:00")
    desk.first = desk.save("Home.md", "dated")
    desk.save(SCOPE, "x", desk.people.ada)
    desk.allow(desk.people.ada.line('valid-before="20261121120001Z"'))
    assert desk.refusal() is None
    desk.allow(desk.people.ada.line('valid-before="20261121115959Z"'))
    assert "does not count" in (desk.refusal() or "")
    desk.allow(desk.people.ada.line('valid-after="20261121120001Z"'))
    assert "does not count" in (desk.refusal() or "")


def test_an_old_date_brings_no_withdrawn_key_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    dated(monkeypatch, "2026-11-21T12:00:00+00:00")
    desk.first = desk.save("Home.md", "looked at in November")
    desk.allow(desk.people.ada.line('valid-before="20261001Z"'))
    dated(monkeypatch, "2026-09-01T12:00:00+00:00")
    desk.save(SCOPE, "stolen", desk.people.ada)
    assert "does not count" in (desk.refusal() or "")


def test_an_ordinary_commit_with_an_old_date_brings_no_withdrawn_key_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated(monkeypatch, "2026-11-21T12:00:00+00:00")
    desk.first = desk.save("Home.md", "looked at in November")
    desk.allow(desk.people.ada.line('valid-before="20261001Z"'))
    trust, followed = desk.trust(), desk.elsewhere()
    dated(monkeypatch, "2026-09-01T12:00:00+00:00")
    harmless = desk.save("Inbox.md", "unsigned, as ordinary notes may be")
    assert trust.refusal(followed, desk.first, harmless) is None
    trust.note(followed, desk.first, harmless)
    followed.move(desk.first, harmless)
    stolen = desk.save(SCOPE, "stolen", desk.people.ada)
    assert "does not count" in (desk.trust().refusal(followed, harmless, stolen) or "")


def test_a_clock_that_ran_ahead_makes_no_later_key_useless(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated(monkeypatch, "2031-01-01T00:00:00+00:00")
    desk.first = desk.save("Home.md", "from the future")
    desk.allow(desk.people.ada.line('valid-before="20270101Z"'))
    dated(monkeypatch, "2026-11-22T12:00:00+00:00")
    desk.save(SCOPE, "x", desk.people.ada)
    assert desk.refusal() is None


def test_wrong_clocks_bring_no_commit_up_again_that_was_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated(monkeypatch, "2030-01-01T00:00:00+00:00")
    before = desk.save(SCOPE, "unsigned, and before trust")
    dated(monkeypatch, "2001-01-01T00:00:00+00:00")
    for number in range(12):
        desk.save("Home.md", f"by a machine without a clock: {number}")
    dated(monkeypatch, "2026-11-22T11:00:00+00:00")
    desk.first = desk.save("Home.md", "looked at")
    desk.human.git("switch", "-q", "-c", "phone", before)
    desk.save("Inbox.md", "from the phone")
    assert desk.refusal() is None


# What is no signature for a commit.


def test_a_signature_for_another_purpose_does_not_count(desk: Desk) -> None:
    tip = commit(desk.repository, desk.first, {SCOPE: "x"}, signer=Seal(desk.people.ada, "file"))
    assert "was made for `file`" in (desk.refusal(tip=tip) or "")


def test_a_key_that_is_allowed_for_other_purposes_only_does_not_count(desk: Desk) -> None:
    desk.allow(desk.people.ada.line('namespaces="file"'))
    desk.save(SCOPE, "x", desk.people.ada)
    assert "does not count" in (desk.refusal() or "")


@pytest.mark.parametrize("by", ["ada", "engine"])
def test_a_signature_of_another_text_does_not_count(desk: Desk, by: str) -> None:
    class Copied:
        """Puts the signature of a harmless commit under every other."""

        def sign(self, payload: bytes) -> str:
            return _seal(desk.people, by).sign(payload.replace(b"tree ", b"tree x", 1))

    tip = commit(desk.repository, desk.first, {SCOPE: "x"}, signer=Copied())
    assert "does not count" in (desk.refusal(tip=tip) or "")


@pytest.mark.parametrize(
    "armour",
    [
        "-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n-----END PGP SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n?\n-----END SSH SIGNATURE-----\n",
    ],
)
def test_what_is_signed_in_another_way_than_with_ssh_is_not_taken_for_signed(desk: Desk, armour: str) -> None:
    class Other:
        def sign(self, payload: bytes) -> str:
            assert payload
            return armour

    tip = commit(desk.repository, desk.first, {SCOPE: "x"}, signer=Other())
    assert "another way than with ssh" in (desk.refusal(tip=tip) or "")


def _seal(people: People, who: str) -> Signer | Seal:
    return people.engine if who == "engine" else Seal(people.ada)


# Merges.


@pytest.fixture
def parted(desk: Desk) -> Desk:
    """Ada has tightened a scope on `main`; on `phone` somebody went on from what was before."""
    desk.first = desk.save(SCOPE, "wide", desk.people.ada)
    desk.human.git("branch", "phone")
    desk.save(SCOPE, "narrow", desk.people.ada)
    desk.human.git("switch", "-q", "phone")
    desk.save("Inbox.md", "from the phone")
    return desk


def test_an_unsigned_merge_that_adds_nothing_counts(parted: Desk) -> None:
    parted.merge("main")
    assert parted.refusal() is None
    assert "is not signed" in (parted.refusal(Coverage.ALL) or "")


def test_a_merge_that_brings_back_the_older_version_of_a_path_is_refused(parted: Desk) -> None:
    evil = parted.merge("main", "--strategy=ours")
    assert parted.human.read(SCOPE) == "wide"
    assert f"{evil[:12]} changes {SCOPE}" in (parted.refusal() or "")


def test_a_merge_with_text_of_its_own_is_refused_and_counts_if_it_is_signed(parted: Desk) -> None:
    parted.human.git("merge", "-q", "--no-commit", "main")
    parted.human.write(SCOPE, "everything")
    parted.human.git("add", "--", SCOPE)
    signs_with(parted.human, None)
    parted.human.git("commit", "-q", "-m", "Merge")
    assert f"{parted.human.head[:12]} changes {SCOPE}" in (parted.refusal() or "")
    signs_with(parted.human, parted.people.ada)
    parted.human.git("commit", "-q", "--amend", "-m", "Merge")
    assert parted.refusal() is None


def test_a_merge_that_takes_in_an_unsigned_side_is_refused_for_that_side(parted: Desk) -> None:
    bad = parted.save(RULE, "unsigned")
    parted.merge("main", key=parted.people.ada)
    assert f"{bad[:12]} changes {RULE}" in (parted.refusal() or "")


def test_a_merge_of_three_lines_must_be_signed_if_it_touches_what_is_protected(parted: Desk) -> None:
    human = parted.human
    human.git("switch", "-q", "-c", "tablet", parted.first)
    parted.save("Other.md", "x")
    human.git("merge", "-q", "--no-edit", "main", "phone")
    assert len(parted.repository.read_commit(human.head).parents) == 3
    assert f"{human.head[:12]} changes {SCOPE}" in (parted.refusal() or "")


def test_a_merge_is_compared_with_what_the_engine_itself_would_have_made(parted: Desk) -> None:
    repository, people = parted.repository, parted.people
    ours = commit(repository, parted.first, {SCOPE: "ours"}, signer=Seal(people.ada))
    theirs = commit(repository, parted.first, {SCOPE: "theirs"}, signer=Seal(people.ada))
    result = repository.tree_of(commit(repository, ours, {SCOPE: "both"}))
    assert result is not None

    def rejoin(_: Repository, one: str, other: str) -> str:
        assert (one, other) == (ours, theirs)
        return str(result)

    vetting = Vetting(Coverage.PROTECTED, AllowedSigners(parted.signers), people.engine, rejoin)
    who = repository.configured_identity()
    assert who is not None
    merge = repository.commit(result, [ours, theirs], "Join\n", author=who, at=NOON)
    assert Trust(vetting, clock=VirtualClock(NOON)).refusal(repository, parted.first, merge) is None
    other = str(repository.tree_of(commit(repository, ours, {SCOPE: "more"})))
    evil = repository.commit(other, [ours, theirs], "Join\n", author=who, at=NOON)
    assert SCOPE in (Trust(vetting, clock=VirtualClock(NOON)).refusal(repository, parted.first, evil) or "")


def test_a_merge_may_not_turn_unsigned_text_into_a_template(desk: Desk) -> None:
    desk.first = desk.save("Forms/day.md", "signed", desk.people.ada)
    desk.human.git("branch", "phone")
    desk.save(".obsidian/templates.json", '{"folder": "Forms"}', desk.people.ada)
    desk.human.git("switch", "-q", "phone")
    desk.save("Forms/day.md", "unsigned")
    assert desk.refusal() is None
    evil = desk.merge("main")
    assert f"{evil[:12]} changes .obsidian/templates.json, Forms/day.md and" in (desk.refusal() or "")


def test_a_merge_may_not_carry_unsigned_text_along_a_rename_to_where_it_governs(
    desk: Desk, tmp_path: Path
) -> None:
    text = "".join(f"Line {number}\n" for number in range(20))
    desk.first = desk.save("jobs/a.md", text, desk.people.ada)
    desk.human.git("branch", "phone")
    signs_with(desk.human, desk.people.ada)
    (desk.human.path / "agent").mkdir()
    desk.human.git("mv", "jobs", "agent/crons")
    desk.human.git("commit", "-q", "-m", "Declare them")
    desk.human.git("switch", "-q", "phone")
    desk.save("jobs/a.md", text + "unsigned\n")
    evil = desk.merge("main")
    assert desk.human.read("agent/crons/a.md").endswith("unsigned\n")
    repository = desk.elsewhere()
    merger = Merger(repository, lambda _: AuthorClass.HUMAN)
    vetting = Vetting(
        Coverage.PROTECTED,
        AllowedSigners(desk.signers),
        desk.people.engine,
        lambda _, one, other: merger.joined(one, other).tree,
    )
    said = Trust(vetting, clock=VirtualClock(NOON)).refusal(repository, desk.first, evil) or ""
    assert f"{evil[:12]} changes agent/crons/a.md" in said


# Folders that git never writes, but takes.


def _tree(desk: Desk, *rows: str) -> str:
    """A folder of these rows as they stand: mode, name and what lies there (HEAD:path, or a file's text)."""
    data = b""
    for row in rows:
        mode, name, what = row.split(" ", 2)
        found = desk.human.git("rev-parse", what).strip() if ":" in what else _blob(desk, what)
        data += f"{mode} {name}\0".encode() + bytes.fromhex(found)
    return str(desk.repository.handle.write(ObjectType.TREE, data))


def _blob(desk: Desk, text: str) -> str:
    return desk.repository.write_blob(text.encode())


@pytest.mark.parametrize("coverage", [Coverage.PROTECTED, Coverage.ALL])
@pytest.mark.parametrize(
    "rows",
    [
        # Who looks `agent` up finds the first; who lists the folder is left with the second.
        (
            "100644 A.md x",
            "100644 B.md x",
            "40000 agent other:agent",
            "40000 agent HEAD:agent",
            "100644 z.md x",
        ),
        # Who looks it up finds none.
        ("100644 z.md x", "100644 zz.md x", "40000 agent HEAD:agent", "100644 A.md x"),
    ],
)
def test_a_folder_that_is_another_one_for_who_lists_it_must_be_signed_for(
    desk: Desk, rows: tuple[str, ...], coverage: Coverage
) -> None:
    desk.save(SCOPE, "wide")
    desk.human.git("branch", "other")
    desk.first = desk.save(SCOPE, "narrow")
    repository = desk.repository
    who = repository.configured_identity()
    assert who is not None
    odd = repository.commit(_tree(desk, *rows), [desk.first], "Odd\n", author=who, at=NOON)
    assert f"{odd[:12]} changes " in (desk.refusal(coverage, tip=odd) or "")
    assert "as git never writes a folder" in (desk.refusal(coverage, tip=odd) or "")


# Where it begins, and what is remembered.


def test_in_a_fresh_state_directory_the_newest_commit_has_to_be_signed_and_vouches_for_the_rest(
    desk: Desk, tmp_path: Path
) -> None:
    desk.save(SCOPE, "long ago")
    fresh = Repository.bare(tmp_path / "bare.git")
    fresh.handle.remotes.create("origin", str(desk.human.path)).fetch()
    said = desk.trust().refusal(fresh, None, desk.human.head) or ""
    assert "has to answer for all before it" in said
    assert "git commit --allow-empty -S" in said
    signed = desk.save("Home.md", "I looked at it", desk.people.ada)
    fresh.handle.remotes["origin"].fetch()
    assert desk.trust().refusal(fresh, None, signed) is None


def test_trust_that_is_turned_on_later_begins_at_the_branchs_head_and_says_so_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    head = desk.save(SCOPE, "unsigned, long ago")
    with caplog.at_level(logging.WARNING):
        assert desk.trust().newest(desk.repository).revision == head
        assert desk.trust().newest(desk.repository).held is None
    assert [record.message.split(" is taken")[0] for record in caplog.records] == [
        f"Trust is new here: {head[:12]}"
    ]


def test_what_a_human_commits_straight_onto_the_branch_is_held_and_the_newest_trusted_runs_on(
    desk: Desk,
) -> None:
    trust = desk.trust()
    good = desk.save(SCOPE, "one", desk.people.ada)
    assert trust.newest(desk.repository).revision == good
    bad = desk.save(SCOPE, "two")
    desk.save("Inbox.md", "x")
    for again in (trust, desk.trust()):
        found = again.newest(desk.repository)
        assert found.revision == good
        assert f"{bad[:12]} changes {SCOPE} and is not signed" in (found.held or "")
        assert f"Until then {good[:12]} runs on." in (found.held or "")
    vouched = desk.save("Inbox.md", "y", desk.people.ada, f"Look\n\nVouches-for: {bad}")
    assert trust.newest(desk.repository).revision == vouched


def test_what_the_engine_does_itself_upon_a_trusted_head_is_trusted_also_after_a_crash(desk: Desk) -> None:
    trust, repository = desk.trust(), desk.repository
    head = trust.newest(repository).revision
    own = commit(repository, head, {SCOPE: "approved"})
    trust.note(repository, head, own)
    # Not moved yet: nothing is trusted that is not on the branch.
    assert desk.trust().newest(repository).revision == head
    repository.move(head, own)
    assert desk.trust().newest(repository).revision == own
    assert desk.trust().newest(repository).held is None


def test_the_engines_own_act_upon_what_is_held_is_held_too(desk: Desk) -> None:
    trust, repository = desk.trust(), desk.repository
    good = trust.newest(repository).revision
    bad = desk.save(SCOPE, "two")
    own = commit(repository, bad, {RULE: "x"})
    trust.note(repository, bad, own)
    repository.move(bad, own)
    assert trust.newest(repository).revision == good


def test_an_act_of_the_engine_that_did_not_reach_the_branch_leaves_no_trace(desk: Desk) -> None:
    trust, repository = desk.trust(), desk.repository
    head = trust.newest(repository).revision
    trust.note(repository, head, commit(repository, head, {SCOPE: "lost a race"}))
    good = desk.save(RULE, "signed", desk.people.ada)
    assert trust.newest(repository).revision == good


def test_trust_that_was_off_meanwhile_begins_anew(desk: Desk) -> None:
    desk.trust().newest(desk.repository)
    unsigned = desk.save(SCOPE, "while it was off")
    assert Trust().newest(desk.repository).revision == unsigned
    assert desk.trust().newest(desk.repository).revision == unsigned


def test_what_was_looked_at_and_all_before_it_counts_and_nothing_else(desk: Desk) -> None:
    trust, repository = desk.trust(), desk.repository
    good = desk.save(SCOPE, "one", desk.people.ada)
    trust.newest(repository)
    bad = desk.save(SCOPE, "two")
    assert [trust.counts(repository, one) for one in (desk.first, good, bad)] == [True, True, False]
    assert Trust().counts(repository, bad)


def test_off_refuses_and_withholds_nothing(desk: Desk) -> None:
    desk.save(SCOPE, "unsigned")
    assert Trust().refusal(desk.repository, None, desk.human.head) is None
    assert Trust().withheld(desk.repository, desk.first, [SCOPE]) == ()


@pytest.mark.parametrize(
    ("coverage", "folder", "withheld"),
    [
        (Coverage.PROTECTED, False, (SCOPE,)),
        (Coverage.ALL, False, ("Inbox.md", SCOPE)),
        (Coverage.PROTECTED, True, ()),
        (Coverage.ALL, True, ()),
    ],
)
def test_edits_in_the_folder_count_as_the_settings_say(
    desk: Desk, coverage: Coverage, withheld: tuple[str, ...], *, folder: bool
) -> None:
    trust = desk.trust(coverage, folder=folder)
    assert trust.withheld(desk.repository, desk.first, [SCOPE, "Inbox.md"]) == withheld
    assert trust.withheld(desk.repository, None, [SCOPE, "Inbox.md"]) == withheld


def test_the_time_of_a_signature_is_read_in_any_zone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    signature = desk.repository.signature(desk.save(SCOPE, "x", desk.people.ada))
    assert signature is not None
    signers = AllowedSigners(desk.signers)
    desk.allow(desk.people.ada.line('valid-before="20261122120000Z"'))
    before, after = datetime(2026, 11, 22, 11, 59, tzinfo=UTC), datetime(2026, 11, 22, 12, 1, tzinfo=UTC)
    assert signers.signer(*signature, before) == "ada@example.org"
    assert signers.signer(*signature, after) is None
