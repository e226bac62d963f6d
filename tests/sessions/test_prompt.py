from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vaultloop.model.policy import Audience, Policy
from vaultloop.sessions.prompt import instructions
from vaultloop.vault.files import Entry
from vaultloop.vault.notes.context import DEEPEST_IMPORT

POLICY = Policy(
    "owner", Audience.OWNER, can_read=("**",), except_=("private",), instructions="Answer in Dutch.\n"
)


@dataclass(frozen=True)
class Notes:
    """Files held in memory: a path is its own blob id."""

    texts: Mapping[str, str]
    revision: str = "r"

    def tree_id(self, folder: str) -> str | None:
        return None

    def under(self, folder: str) -> Iterator[Entry]:
        return (Entry(path, path) for path in sorted(self.texts) if path.startswith(folder))

    def entry(self, path: str) -> Entry | None:
        return Entry(path, path) if path in self.texts else None

    def read(self, entry: Entry) -> bytes:
        return self.texts[entry.path].encode()


class Rule:
    def contribute(self, policy: Policy) -> str:
        return f"Rule for {policy.scope}."


def told(policy: Policy = POLICY, /, **texts: str) -> str:
    return instructions(policy, Notes({k.replace("__", "/") + ".md": v for k, v in texts.items()}), [])


def test_scope_rules_and_context_files_come_in_this_order() -> None:
    notes = Notes({"CLAUDE.md": "Everyone.", "CLAUDE.local.md": "Here.", "AGENTS.md": "Others."})
    assert instructions(POLICY, notes, [Rule()]) == (
        "Answer in Dutch.\n\nRule for owner.\n\n"
        "Contents of CLAUDE.md:\n\nEveryone.\n\nContents of CLAUDE.local.md:\n\nHere."
    )


def test_a_vault_without_context_files_leaves_only_the_scope() -> None:
    assert told() == "Answer in Dutch."


def test_an_import_is_included_after_the_file_that_names_it() -> None:
    text = told(CLAUDE="See @docs/style.md, please.", docs__style="Short words. @more.md", docs__more="More.")
    assert text.endswith(
        "Contents of CLAUDE.md:\n\nSee @docs/style.md, please.\n\n"
        "Contents of docs/style.md:\n\nShort words. @more.md\n\n"
        "Contents of docs/more.md:\n\nMore."
    )


def test_an_import_that_the_scope_may_not_read_is_left_out_and_said_so() -> None:
    text = told(CLAUDE="@private/diary.md", private__diary="secret")
    assert "secret" not in text
    assert "private/diary.md (imported by CLAUDE.md) was left out: this session may not read it." in text


def test_a_standing_file_that_the_scope_hides_is_left_out_with_what_it_imports() -> None:
    policy = replace(POLICY, except_=("claude.md",))
    text = told(policy, CLAUDE="secret @more.md", more="also secret")
    assert "secret" not in text
    assert "CLAUDE.md was left out: this session may not read it." in text
    assert told(replace(POLICY, except_=("CLAUDE.md",))) == "Answer in Dutch."
    local = Notes({"CLAUDE.md": "Everyone.", "CLAUDE.local.md": "secret"})
    assert "secret" not in instructions(replace(POLICY, except_=("CLAUDE.*",)), local, [])
    assert "Everyone." in instructions(replace(POLICY, except_=("CLAUDE.local.md",)), local, [])


def test_a_cycle_of_imports_ends() -> None:
    text = told(CLAUDE="@a.md", a="@b.md", b="@a.md @CLAUDE.md")
    assert text.count("Contents of a.md") == 1
    assert text.count("Contents of CLAUDE.md") == 1


def test_imports_end_at_the_deepest_level() -> None:
    chain = {f"n{i}": f"@n{i + 1}.md" for i in range(1, 9)}
    text = told(CLAUDE="@n1.md", **chain)
    assert f"Contents of n{DEEPEST_IMPORT}.md" in text
    assert f"Contents of n{DEEPEST_IMPORT + 1}.md" not in text


def test_the_shortest_way_decides_what_is_too_deep() -> None:
    chain = {f"n{i}": f"@n{i + 1}.md" for i in range(1, 7)}
    text = told(CLAUDE="@n1.md @n5.md", **chain, n7="The end.")
    assert text.count("Contents of n7.md") == 1


def test_nothing_outside_the_vault_is_imported() -> None:
    text = told(CLAUDE="@/etc/passwd @~/.ssh/id @../outside.md", outside="x")
    assert "Contents of outside.md" not in text


def test_the_name_of_a_person_is_left_as_it_is() -> None:
    assert told(CLAUDE="Ask @alice.").endswith("Ask @alice.")
