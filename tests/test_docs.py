"""What the documents say of the code is so."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.folders import example
from vaultloop.cli import COMMANDS
from vaultloop.components import KINDS
from vaultloop.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "engine" / "vaultloop"
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The pages that name functions.
ARCHITECTURE = "\n".join(
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("architecture", "processes", "crashes", "merging")
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def defined() -> Iterator[str]:
    """Every `module`, `function`, `Class`, `Class.method` and `module.name` of the engine."""
    for path in ENGINE.rglob("*.py"):
        yield path.stem
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (node.name for node in ast.walk(tree) if isinstance(node, Function))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{path.stem}.{node.name}"
                yield from (node.name, name, f"{path.parent.name}.{name}")
            if isinstance(node, ast.ClassDef):
                yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, Function))


DEFINED = frozenset(defined())


def named_in(text: str) -> Iterator[str]:
    """What stands in backticks and reads like a function, a class or a method."""
    for name in re.findall(r"`([A-Za-z_.]+?)(?:\(\))?`", text):
        if name.endswith((".py", ".md", ".git")):
            continue
        if re.fullmatch(r"[A-Z][a-z]\w+|(\w+\.)+\w+|_\w+|\w+_\w+", name):
            yield name


@pytest.mark.parametrize("name", sorted(set(named_in(ARCHITECTURE))))
def test_the_pages_for_developers_name_what_exists(name: str) -> None:
    assert name in DEFINED


def links() -> Iterator[tuple[Path, str]]:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                yield page, target


@pytest.mark.parametrize(("page", "target"), list(links()), ids=lambda value: getattr(value, "name", value))
def test_links_between_documents_lead_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_every_setting_is_in_the_table_with_its_variable() -> None:
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([\w-]+)` \| `(VAULTLOOP_\w+)` \|", table, re.MULTILINE))
    keys = {name.replace("_", "-") for name in Settings.model_fields}
    assert rows == {(key, PREFIX + key.upper().replace("-", "_")) for key in keys}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_speaks_of_every_command_that_people_call(command: str) -> None:
    assert f"vaultloop {command}" in README


def test_the_readme_shows_the_demo_cron_as_it_is() -> None:
    assert example(next(kind for kind in KINDS if kind.name == "cron")).rstrip() in README
