"""One campaign: every case, from sessions of some scopes, on one kind of machine.

`fought` runs as the unprivileged user in a process of its own, which is the engine of the grounds; `fight`
starts it and returns what it found.
"""

import asyncio
import os
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attack.grounds import SCOPES, Grounds
from attack.hostile.__main__ import CASES  # with it come all cases
from attack.hostile.limits import LIMITS
from attack.session import CONTROLS, Outcome, Verdict
from support import container_profile
from support.unprivileged import drive, place
from vaultloop.model.cell import CellLauncher
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.limits import MIB, Limits
from vaultloop.sandbox.probe import CAP, MAY_BE_DEGRADED, probe

# For sessions that are there to reach a limit: they reach these sooner.
SMALL = Limits(memory=256 * MIB, processes=128, growth=64 * MIB, files=2_000)

# How many sessions that need one for themselves run at a time.
AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of machine.

    Attributes:
        abi: of Landlock, as its kernel has it; None for what this one has.
        container: an ordinary container's filter of system calls lies over everything.
        fenced: false for no fence at all, which shows what the fence is for.
    """

    name: str
    abi: int | None = None
    container: bool = False
    fenced: bool = True


PROFILES = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile("full"),
            Profile("container", container=True),
            *(Profile(f"abi-{abi}", abi=abi) for abi in (1, 2, 4, 6)),
        )
    }
)
UNFENCED = Profile("unfenced", fenced=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """What became of every case in sessions of one scope on one profile.

    Attributes:
        refused: why sessions of this class do not run there at all; empty if they do.
        failed: controls that failed, so that the verdicts prove nothing.
    """

    profile: Profile
    scope: str
    refused: str
    failed: tuple[str, ...]
    verdicts: dict[str, Verdict]

    @property
    def escapes(self) -> dict[str, Verdict]:
        """Cases that were not stopped, and those that broke."""
        bad = (Outcome.ESCAPED, Outcome.BROKEN)
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.outcome in bad}


def fight(profile: Profile, scopes: Sequence[str]) -> list[Findings]:
    """Fight for `scopes` on `profile`, as the unprivileged user."""
    canary = f"canary-{secrets.token_hex(12)}"
    environment = {"ENGINE_SECRET": canary}
    if profile.abi is not None:
        environment[CAP] = str(profile.abi)
    with place() as folder:
        found = drive(
            fought,
            *(str(folder), canary, list(scopes)),
            *(profile.container, profile.fenced),
            env=environment,
        )
    return [_findings(profile, scope, said) for scope, said in found.items()]


def _findings(profile: Profile, scope: str, said: dict[str, Any]) -> Findings:
    verdicts = {name: Verdict(Outcome(outcome), what) for name, (outcome, what) in said["verdicts"].items()}
    return Findings(profile, scope, said["refused"], tuple(said["failed"]), verdicts)


# From here on as the unprivileged user.


def fought(folder: str, canary: str, scopes: list[str], container: bool, fenced: bool) -> dict[str, Any]:
    """What became of every case, by scope."""
    if container:
        container_profile.install()
    return asyncio.run(_fought(Path(folder), canary, scopes, fenced=fenced))


async def _fought(folder: Path, canary: str, scopes: list[str], *, fenced: bool) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        launcher: CellLauncher = DirectLauncher()
        small = launcher
        if fenced:
            found, degraded = probe(), _degraded()
            launcher = await stack.enter_async_context(FencedLauncher(found, degraded))
            small = await stack.enter_async_context(FencedLauncher(found, degraded, limits=SMALL))
        grounds = await stack.enter_async_context(
            Grounds.built(folder, canary, launcher, small, supervised=fenced)
        )
        return {scope: await _fought_by(grounds, scope, launcher, fenced=fenced) for scope in scopes}


def _degraded() -> tuple[Audience, ...]:
    # Without moves between folders (ABI 1) the owner's and cron's sessions run where the operator says so.
    return tuple(MAY_BE_DEGRADED) if os.environ.get(CAP) == "1" else ()


async def _fought_by(grounds: Grounds, scope: str, launcher: CellLauncher, *, fenced: bool) -> dict[str, Any]:
    policy = SCOPES[scope]
    names = [name for name, case in CASES.items() if fenced or not case.harmful]
    try:
        launcher.confinement(policy.audience)
    except Stalled as stalled:
        verdicts = dict.fromkeys(names, (Outcome.REFUSED, "refused"))
        return {"refused": str(stalled), "failed": (), "verdicts": verdicts}
    shared = [name for name in names if not CASES[name].alone]
    async with grounds.other_session() as targets:
        session = await grounds.attacked(targets, policy, [*CONTROLS, *shared])
        failed = [complaint for name in CONTROLS if (complaint := session.control(name))]
        found = {name: session.verdict(name) for name in shared}
        turn = asyncio.Semaphore(AT_ONCE)

        async def alone(name: str) -> None:
            limited = CASES[name].subject == LIMITS
            async with turn:
                found[name] = (await grounds.attacked(targets, policy, [name], small=limited)).verdict(name)

        async with asyncio.TaskGroup() as group:
            for name in names:
                if CASES[name].alone:
                    group.create_task(alone(name), name=name)
        failed += grounds.unharmed()
    verdicts = {name: (found[name].outcome, found[name].what) for name in names}
    return {"refused": "", "failed": failed, "verdicts": verdicts}
