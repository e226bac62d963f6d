"""What an idle engine weighs, and what it has imported."""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import packages_distributions
from pathlib import Path

from bench.measure import Row

# What belongs to other processes: an engine that imports one of these carries it for nothing.
FOREIGN = ("telethon", "mcp", "uvicorn", "starlette", "aiohttp", "httpx", "anthropic")

# The design's goal for the engine process (MiB of PSS).
GOAL_MIB = 45

_PROBE = """
import asyncio, json, sys
from pathlib import Path
from vaultloop import app, settings
from vaultloop.aio.clock import SystemClock

async def main():
    found = settings.load(config=Path(sys.argv[1]))
    async with app.assembled(found, SystemClock()) as engine:
        await engine.ready.wait()
        await asyncio.sleep(2)
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        print(json.dumps({"pss": pss, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))

asyncio.run(main())
"""


async def rows() -> list[Row]:
    """Memory of an idle engine on the demo vault, and how many foreign libraries it has loaded."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = root / "vaultloop.toml"
        words = ["init", str(root / "vault"), "--bare-remote", str(root / "remote.git")]
        where = ["--state", str(root / "state"), "--config", str(config)]
        subprocess.run(
            [sys.executable, "-m", "vaultloop", *words, *where], check=True, stdout=subprocess.DEVNULL
        )
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, str(config)], check=True, capture_output=True, text=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    bare = subprocess.run(
        [sys.executable, "-c", "import pygit2, pydantic; print(open('/proc/self/smaps_rollup').read())"],
        check=True,
        capture_output=True,
        text=True,
    )
    libraries = next(int(line.split()[1]) for line in bare.stdout.splitlines() if line.startswith("Pss:"))
    third = [name for name in found["modules"] if name in _third_party()]
    foreign = [name for name in FOREIGN if name in found["modules"]]
    return [
        Row(
            "engine idle, PSS",
            found["pss"] / 1024,
            "MiB",
            "python with pygit2 and pydantic",
            libraries / 1024,
            note=f"goal {GOAL_MIB} MiB",
        ),
        Row(
            "foreign libraries in the engine",
            len(foreign),
            "count",
            allowed=0,
            note="imports " + " ".join(third),
        ),
    ]


def _third_party() -> set[str]:
    return {
        name for name in packages_distributions() if name not in ("vaultloop", "pip")
    } - sys.stdlib_module_names
