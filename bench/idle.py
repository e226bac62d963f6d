"""What an idle engine weighs, and what it has imported."""

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from bench.measure import Row
from support.installation import COMMAND, Installation

# What belongs to other processes: an engine that imports one of these carries it for nothing.
FOREIGN = frozenset({"telethon", "mcp", "uvicorn", "starlette", "aiohttp", "httpx", "anthropic"})

# The design's goal for the engine process (MiB of PSS).
GOAL_MIB = 45

# Seconds from the first applied revision until it counts as idle.
REST = 2.0

# Python's own record of what is imported, on standard error.
_IMPORTED = re.compile(r"import time:.*\| +(?P<package>\w+)[\w.]*$", re.MULTILINE)
_UP = (sys.executable, "-X", "importtime", "-m", "vaultloop", "up")
_LIBRARIES = "import pygit2, pydantic; print(open('/proc/self/smaps_rollup').read())"


async def rows() -> list[Row]:
    """Memory of an idle engine on the demo vault, and how many foreign libraries it has loaded."""
    with tempfile.TemporaryDirectory() as folder:
        installation = _installed(Path(folder))
        with installation.engine(*_UP) as engine:
            engine.line("ready at")
            await asyncio.sleep(REST)
            weight = _pss(Path(f"/proc/{engine.pid}/smaps_rollup").read_text())
        imported = _third_party(_IMPORTED.findall("".join(engine.log)))
    bare = subprocess.run([sys.executable, "-c", _LIBRARIES], check=True, capture_output=True, text=True)
    return [
        Row(
            "engine idle, PSS",
            weight,
            "MiB",
            "python with pygit2 and pydantic",
            _pss(bare.stdout),
            note=f"goal {GOAL_MIB} MiB",
        ),
        Row(
            "foreign libraries in the engine",
            len(FOREIGN & imported),
            "count",
            allowed=0,
            note="it imports " + " ".join(sorted(imported)),
        ),
    ]


def _installed(root: Path) -> Installation:
    config = root / "vaultloop.toml"
    words = ["init", str(root / "vault"), "--bare-remote", str(root / "remote.git")]
    where = ["--state", str(root / "state"), "--config", str(config)]
    subprocess.run([*COMMAND, *words, *where], check=True, stdout=subprocess.DEVNULL)
    return Installation(config)


def _pss(rollup: str) -> float:
    """MiB of memory, what is shared with others counted in part."""
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def _third_party(modules: Iterable[str]) -> set[str]:
    return packages_distributions().keys() & set(modules) - {"vaultloop"} - sys.stdlib_module_names
