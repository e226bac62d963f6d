"""What this machine can enforce, found out by trying, and what follows for each class of sessions.

Nothing is told by a version number: a kernel can be built without a layer, a container can hide it. The
trying itself is `attempts`, in a process of its own.
"""

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import vaultloop
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.model.status import Confinement
from vaultloop.sandbox.landlock import NEWEST

# Caps the ABI of Landlock that is made use of (0: none at all), so that tests see older kernels.
CAP = "VAULTLOOP_LANDLOCK_ABI"

# How long all attempts together may take (seconds); they need a fifth of one.
PATIENCE = 60.0

# The classes that the operator may let run without a layer.
MAY_BE_DEGRADED = frozenset({Audience.OWNER, Audience.CRON})


class Layer(StrEnum):
    """A part of the fence; the values are the names of the attempts."""

    FILES = "files"
    MOVES = "moves"
    CALLS = "calls"
    GUARD = "guard"
    MEMORY = "memory"
    LIMITS = "limits"
    VICTIM = "victim"
    REAPER = "reaper"
    GROUPS = "groups"
    USER = "user"


@dataclass(frozen=True, slots=True)
class About:
    """What people are told of a layer.

    Attributes:
        title: its name.
        does: what it holds back.
        remedy: how to get it, where it is missing.
        required: whether a session that lacks it is less than fenced.
    """

    title: str
    does: str
    remedy: str
    required: bool = True


_KERNEL = "Run Linux 5.19 or newer (Debian 12, Ubuntu 24.04)"
_CONTAINER = "in a container, use a current Docker or Podman: old ones hide it"

LAYERS: Mapping[Layer, About] = {
    Layer.FILES: About(
        "Landlock",
        "A session opens only the files of its view, its home and the system's programs.",
        f"{_KERNEL}, with `landlock` in the kernel's `lsm=` list; {_CONTAINER}.",
    ),
    Layer.MOVES: About(
        "Landlock moves",
        "A session can move files between the folders it may write.",
        f"{_KERNEL}: Landlock has this from ABI 2 on.",
    ),
    Layer.CALLS: About(
        "system call filter",
        "No other networks, signals, watches, changes of mode, namespaces or kernel interfaces.",
        f"Run a Linux of 64 bit (x86_64, aarch64) with seccomp, on a kernel of its own or with gVisor off; "
        f"{_CONTAINER}.",
    ),
    Layer.GUARD: About(
        "connect guard",
        "The one address that a session reaches is its door to the gateway.",
        f"Run Linux 5.9 or newer; {_CONTAINER}.",
    ),
    Layer.MEMORY: About(
        "caller's memory",
        "The supervisor reads which address a session asks for.",
        "Let a parent look at its children: `sysctl kernel.yama.ptrace_scope=1` or 0 on the host, and no "
        "security profile that forbids ptrace.",
    ),
    Layer.LIMITS: About(
        "limits",
        "Open files, processes and the size of a file are bounded.",
        "Allow setrlimit: no security profile may forbid it.",
    ),
    Layer.VICTIM: About(
        "memory priority",
        "When memory runs out the kernel ends the session, not the engine.",
        "Make /proc writable for its own user, as it is by default.",
    ),
    Layer.REAPER: About(
        "reaper",
        "Nothing that a session started outlives it.",
        "Mount /proc without `hidepid` for the engine's user.",
    ),
    Layer.GROUPS: About(
        "control group",
        "All processes of a session could be ended and counted by the kernel; the engine does without.",
        "Optional: give the engine a writable control group (systemd: `Delegate=yes`).",
        required=False,
    ),
    Layer.USER: About(
        "user of its own",
        "Sessions could run as another user than the engine; the engine does without.",
        "Optional: only root can give one.",
        required=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of trying one layer.

    Attributes:
        errno: 0 if it was found.
        detail: of what was found, or why it was not.
    """

    layer: Layer
    errno: int
    detail: str

    @property
    def found(self) -> bool:
        return self.errno == 0

    @property
    def required(self) -> bool:
        return LAYERS[self.layer].required

    @property
    def title(self) -> str:
        return LAYERS[self.layer].title

    @property
    def why(self) -> str:
        """The errno's name; empty if it was found."""
        return errno.errorcode.get(self.errno, str(self.errno)) if self.errno else ""

    @property
    def remedy(self) -> str:
        """How to get it; empty if it was found."""
        return "" if self.found else LAYERS[self.layer].remedy

    def __str__(self) -> str:
        return self.title if self.found else f"{self.title} ({self.why})"


@dataclass(frozen=True, slots=True)
class Probe:
    """What this machine can enforce.

    Attributes:
        findings: one for each layer, in the order of `Layer`.
        abi: of Landlock, as far as it is made use of; 0 for none.
    """

    findings: tuple[Finding, ...]
    abi: int

    def __getitem__(self, layer: Layer) -> Finding:
        return next(finding for finding in self.findings if finding.layer is layer)

    def missing(self, _: Audience) -> tuple[Finding, ...]:
        """What a session of this class needs and would not have; the same for all classes."""
        return tuple(finding for finding in self.findings if finding.required and not finding.found)

    def confinement(self, audience: Audience, degraded: Collection[Audience]) -> Confinement:
        """What holds sessions of this class in; `degraded` are the classes that may run with less.

        Raises:
            Stalled: something is missing, and the class needs it.
        """
        missing = self.missing(audience)
        if not missing:
            return Confinement.FENCED
        if audience in degraded and audience in MAY_BE_DEGRADED:
            return Confinement.DEGRADED
        names = ", ".join(map(str, missing))
        # What brings Landlock brings its moves, too.
        whole = self[Layer.FILES].found
        remedies = dict.fromkeys(f.remedy for f in missing if whole or f.layer is not Layer.MOVES)
        raise Stalled(
            f"Sessions of class {audience} are refused: this machine lacks {names}.",
            cure=" ".join(remedies) + _way_out(audience),
        )

    def outcomes(self, degraded: Collection[Audience]) -> Mapping[Audience, Confinement | None]:
        """What holds the sessions of each class in; None for a class that is refused."""
        return {audience: self._outcome(audience, degraded) for audience in Audience}

    def _outcome(self, audience: Audience, degraded: Collection[Audience]) -> Confinement | None:
        try:
            return self.confinement(audience, degraded)
        except Stalled:
            return None


def _way_out(audience: Audience) -> str:
    if audience not in MAY_BE_DEGRADED:
        return ""
    return f' Or accept sessions that are held in less: `degraded = ["{audience}"]` in the settings.'


def probe(environment: Mapping[str, str] | None = None) -> Probe:
    """Try every layer; takes a fifth of a second.

    Raises:
        Stalled: nothing could be tried: no process can be started, no temporary folder made.
    """
    cap = _cap(os.environ if environment is None else environment)
    try:
        with tempfile.TemporaryDirectory(prefix="vaultloop-probe-") as folder:
            lines = _tried(folder, cap)
    except (OSError, subprocess.SubprocessError) as error:
        raise Stalled(
            f"The fence cannot be tried out here ({error}).",
            cure="See that the temporary folder is writable and that processes can be started.",
        ) from error
    findings = tuple(Finding(Layer(name), number, detail) for name, number, detail in lines)
    files = next(finding for finding in findings if finding.layer is Layer.FILES)
    return Probe(findings, int(files.detail.removeprefix("ABI ")) if files.found else 0)


def _tried(folder: str, cap: int) -> list[tuple[str, int, str]]:
    root = Path(vaultloop.__file__).parent.parent
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from vaultloop.sandbox import attempts; "
    program += "attempts.main(sys.argv[1:])"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(root), folder, str(cap)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=True,
    )
    return [tuple(json.loads(line)) for line in ended.stdout.splitlines()]


def _cap(environment: Mapping[str, str]) -> int:
    """The highest ABI to use; what is no number takes all away, as the switch can do nothing else."""
    said = environment.get(CAP)
    if said is None:
        return NEWEST
    return min(int(said), NEWEST) if said.isdecimal() else 0
