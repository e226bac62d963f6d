"""How `make tools` comes by the CLI that the tests run: from either source, checked, or not at all."""

import os
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from support import claude_cli
from support.claude_cli import place
from vaultloop.runners.claude.version import TESTED, TESTED_WHEEL

FORGED = b"#!/bin/sh\necho forged\n"


def made(folder: Path, *, npm: str = "", links: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What fetching into an empty cache came to; `npm` is the script that stands on PATH as npm."""
    programs = folder / "bin"
    programs.mkdir()
    if npm:
        (programs / "npm").write_text(f"#!/bin/sh\n{npm}\n")
        (programs / "npm").chmod(0o755)
    sources = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links or folder / "nothing"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    return subprocess.run(
        [sys.executable, "-m", "support.claude_cli"],
        env={
            "PATH": f"{programs}:/usr/bin:/bin" if npm else str(programs),
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONPATH": str(Path(claude_cli.__file__).parents[1]),
            **sources,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def cached(folder: Path) -> list[Path]:
    return [path for path in (folder / "cache").rglob("*") if path.is_file()]


def test_the_cli_is_kept_by_its_version_outside_the_work_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/the/cache")
    assert place() == Path(f"/the/cache/vaultloop/claude/{TESTED}/claude")
    with pytest.raises(AssertionError, match="make tools"):
        claude_cli.claude()


def test_with_no_source_both_ways_are_named_and_what_helps(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert done.returncode == 1
    assert "npm is not installed" in done.stderr
    assert "pip download" in done.stderr
    assert f"put the program at {tmp_path / 'cache'}" in done.stderr
    assert cached(tmp_path) == []


def test_where_npm_fails_the_wheel_is_asked_and_what_it_holds_is_checked(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    name = f"claude_agent_sdk-{TESTED_WHEEL}"
    with zipfile.ZipFile(links / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("claude_agent_sdk/_bundled/claude", FORGED)
        wheel.writestr(f"{name}.dist-info/METADATA", f"Name: claude-agent-sdk\nVersion: {TESTED_WHEEL}\n")
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    done = made(tmp_path, npm="echo no network >&2; exit 1", links=links)
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert "is not the program that was tested" in done.stderr
    assert cached(tmp_path) == []


def test_what_npm_brings_is_checked_before_it_is_kept(tmp_path: Path) -> None:
    package = tmp_path / "package.tgz"
    with tarfile.open(package, "w:gz") as archive:
        member = tarfile.TarInfo("package/claude")
        member.size = len(FORGED)
        archive.addfile(member, BytesIO(FORGED))
    done = made(tmp_path, npm=f"cp {package} .")
    assert done.returncode == 1
    assert "is not the program that was tested" in done.stderr
    assert cached(tmp_path) == []
