"""What would overwrite a human's work is nowhere in the code, so that no review has to notice it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted((ROOT / "engine").rglob("*.py"))
SCRIPTS = [ROOT / "entrypoint.sh", *sorted(p for p in (ROOT / "hooks").rglob("*") if p.is_file())]

# Names of pygit2's (as attributes, or in its older constants), and calls.
BANNED_NAMES = re.compile(
    r"FORCE|GIT_CHECKOUT_FORCE|GIT_RESET_HARD|GIT_MERGE_FILE_FAVOR_(OURS|THEIRS|UNION)|add_all|update_all"
)
# The enumerations whose members throw a side away.
BANNED_MEMBERS = {"ResetMode": {"HARD"}, "MergeFavor": {"OURS", "THEIRS", "UNION"}}
BANNED_CALLS = frozenset({"reset", "checkout", "checkout_head", "checkout_index", "checkout_tree", "rebase"})
# What a command line of git's must not say, as words in a script or an argument list.
BANNED_WORDS = (
    re.compile(r"\bgit\b[^\n|;&]*\breset\b[^\n|;&]*--hard"),
    re.compile(r"\bgit\b[^\n|;&]*\badd\b[^\n|;&]*\s(-A|--all|\.)(\s|$)"),
    re.compile(r"\bgit\b[^\n|;&]*\b(rebase|pull\s+--rebase)\b"),
    re.compile(r"\bgit\b[^\n|;&]*\b(merge|pull)\b[^\n|;&]*(-s|-X|--strategy)"),
    re.compile(r"\bgit\b[^\n|;&]*\bcheckout\b[^\n|;&]*\s(-f|--force|--ours|--theirs)\b"),
    re.compile(r"\bgit\b[^\n|;&]*\bpush\b[^\n|;&]*\s(-f|--force)\b"),
)


def in_program(text: str) -> Iterator[str]:
    """Each banned name, call and command line in a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            yield from _in_attribute(node)
        elif isinstance(node, ast.Name) and BANNED_NAMES.fullmatch(node.id):
            yield node.id
        elif isinstance(node, ast.Call):
            yield from _in_call(node)
        elif isinstance(node, ast.List | ast.Tuple):
            yield from in_command(" ".join(_texts(node.elts)))


def _in_attribute(node: ast.Attribute) -> Iterator[str]:
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    if BANNED_NAMES.fullmatch(node.attr) or node.attr in BANNED_MEMBERS.get(owner, ()):
        yield ast.unparse(node)


def _in_call(node: ast.Call) -> Iterator[str]:
    called = node.func
    if isinstance(called, ast.Attribute) and called.attr in BANNED_CALLS and _is_git(called.value):
        yield ast.unparse(called)
    words = _texts([*node.args])
    yield from in_command("git " + " ".join(words) if words[:1] != ["git"] else " ".join(words))


def _is_git(value: ast.expr) -> bool:
    """Whether a call is made on something of pygit2's, by the names that the code gives such things."""
    return re.search(r"(handle|repo|repository|index)\b", ast.unparse(value)) is not None


def _texts(nodes: list[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def in_command(text: str) -> Iterator[str]:
    """Each banned command line in a script."""
    for pattern in BANNED_WORDS:
        yield from (found.group(0) for found in pattern.finditer(text))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_can_overwrite_or_throw_away_what_somebody_wrote(path: Path) -> None:
    assert list(in_program(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_script_can_either(path: Path) -> None:
    code = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not _comment(line))
    assert list(in_command(code)) == []


def _comment(line: str) -> bool:
    return line.lstrip().startswith("#")


@pytest.mark.parametrize(
    "text",
    [
        "repo.checkout_tree(tree, strategy=CheckoutStrategy.FORCE)",
        "repo.checkout_head()",
        "self.handle.reset(oid, ResetMode.HARD)",
        "x = pygit2.GIT_CHECKOUT_FORCE",
        "repo.index.add_all()",
        "repo.merge_commits(a, b, favor=MergeFavor.OURS)",
        "subprocess.run(['git', 'add', '-A'])",
        "subprocess.run(['git', 'reset', '--hard', 'HEAD'])",
        "git('rebase', 'main')",
        "git('merge', '-X', 'ours', 'main')",
        "git('push', '--force')",
    ],
)
def test_the_search_finds_what_is_banned(text: str) -> None:
    assert list(in_program(text))


@pytest.mark.parametrize(
    "text", ["git add -A", "git reset --hard", "cd x && git pull --rebase", "git checkout -f main"]
)
def test_the_search_finds_it_in_scripts(text: str) -> None:
    assert list(in_command(text))
