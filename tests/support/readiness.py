"""How soon after its start an engine must be ready again, also on a machine that is busy."""

import subprocess
import sys
import time

# Seconds; where the machine is busy, so many times what loading two libraries takes: on an idle one these are
# the same 2 seconds.
READY_WITHIN = 2.0
READY_WITHIN_LOADINGS = 12


def assert_ready_in_time(took: float) -> None:
    """`took` seconds passed from the start until the engine was ready."""
    if took <= READY_WITHIN:
        return
    loading = loading_time()
    ratio = f"{took / loading:.0f} times `import pygit2, pydantic` ({loading:.2f} s)"
    assert took <= READY_WITHIN_LOADINGS * loading, f"ready after {took:.1f} s, {ratio}"


def loading_time() -> float:
    """What this machine needs just now for no more than loading the two largest libraries (seconds)."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import pygit2, pydantic"], check=True)
    return time.monotonic() - began
