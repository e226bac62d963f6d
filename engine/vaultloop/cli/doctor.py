"""`vaultloop doctor`: what this machine can hold sessions in with, and how to mend what is missing."""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.options import as_json
from vaultloop.model.cell import Cell, CellLauncher
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.program import ClaudeProgram
from vaultloop.runners.claude.version import remark
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.probe import LAYERS, MAY_BE_DEGRADED, Finding, Probe, probe
from vaultloop.settings import InvalidSettings, Settings, load

# How long a program that does nothing may take (seconds); it needs a twentieth of one.
PATIENCE = 20.0


@click.command(name="doctor")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (vaultloop.toml).")
@as_json
def command(config: Path | None, *, as_json: bool) -> None:
    """Try every layer of the fence, here and now, and say what follows.

    Needs no running engine and no vault. Exit 0 if every class of sessions is fenced, or degraded as the
    settings allow; 1 if one is refused. How to mend what is missing: docs/fence.md.
    """
    settings, problem = _settings(config)
    report = asyncio.run(_report(settings, problem))
    if as_json:
        output.print_json(asdict(report))
    else:
        _print(report)
    refused = any(each.confinement == REFUSED for each in report.classes)
    sys.exit(1 if refused or report.cell_problem else 0)


REFUSED = "refused"


@dataclass(frozen=True)
class Class:
    """What becomes of the sessions of one class."""

    audience: str
    confinement: str
    reason: str


@dataclass(frozen=True)
class Program:
    """A program that the engine makes use of."""

    name: str
    found: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """All that is told; `--json` prints it, so its fields are a contract.

    Attributes:
        cell_problem: why a program that should run in a cell did not; empty if it did, or all are refused.
    """

    settings_problem: str
    layers: list[dict[str, Any]]
    landlock_abi: int
    classes: list[Class]
    cell_problem: str
    programs: list[Program]


async def _report(settings: Settings, problem: str) -> Report:
    found = probe()
    classes = [_consequence(found, audience, settings) for audience in Audience]
    # The strictest class that runs at all.
    audience = next(
        (Audience(each.audience) for each in reversed(classes) if each.confinement != REFUSED), None
    )
    async with FencedLauncher(found, settings.degraded, settings.programs) as launcher:
        return Report(
            settings_problem=problem,
            layers=[_layer(finding) for finding in found.findings],
            landlock_abi=found.abi,
            classes=classes,
            cell_problem=await _cell_problem(launcher, audience) if audience else "",
            programs=[await _claude(settings, launcher, audience), *_others()],
        )


async def _cell_problem(launcher: FencedLauncher, audience: Audience) -> str:
    """Start a program that does nothing, as a session's is started."""
    with tempfile.TemporaryDirectory(prefix="vaultloop-doctor-") as folder:
        given = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "TMPDIR": folder}
        empty = Path(folder)
        try:
            async with launcher.launch(
                ["true"], Cell(empty, empty, empty, given, Policy("", audience))
            ) as child:
                await child.write(b"", last=True)
                async with asyncio.timeout(PATIENCE):
                    code = await child.wait()
                return "" if code == 0 else f"`true` ended with {code}. {await child.complaint()}".strip()
        except Stalled as error:
            return str(error)
        except TimeoutError:
            return f"`true` did not end within {PATIENCE:.0f} seconds."


def _settings(config: Path | None) -> tuple[Settings, str]:
    """The settings as far as there are any, and what is wrong with them; no vault needs to be named."""
    nowhere = {"folder": Path.cwd() / "vault"}
    try:
        return load(config=config), ""
    except InvalidSettings:
        pass
    try:
        return load(nowhere, config=config), ""
    except InvalidSettings as error:
        return Settings(folder=nowhere["folder"]), str(error)


def _layer(finding: Finding) -> dict[str, Any]:
    return {
        "layer": finding.layer.value,
        "title": finding.title,
        "required": finding.required,
        "found": finding.found,
        "errno": finding.why,
        "detail": finding.detail,
        "does": LAYERS[finding.layer].does,
        "remedy": finding.remedy,
    }


def _consequence(found: Probe, audience: Audience, settings: Settings) -> Class:
    missing = ", ".join(map(str, found.missing(audience)))
    try:
        confinement = found.confinement(audience, settings.degraded).value
    except Stalled:
        allow = f'; `degraded = ["{audience}"]` in the settings would let them run without'
        return Class(audience, REFUSED, f"lacks {missing}{allow if audience in MAY_BE_DEGRADED else ''}")
    return Class(audience, confinement, f"lacks {missing}, as the settings allow" if missing else "")


async def _claude(settings: Settings, launcher: CellLauncher, audience: Audience | None) -> Program:
    """The agent program, asked in a cell for its version; outside of one only where no class may run."""
    program = ClaudeProgram(settings.claude, launcher if audience else DirectLauncher())
    try:
        path, version = await program.proven(os.environ, audience or Audience.OWNER)
    except Stalled as error:
        return Program("claude", found=False, detail=str(error))
    return Program("claude", found=True, detail=f"{path}, {remark(version) or f'version {version}'}")


def _others() -> Iterator[Program]:
    yield _on_path("ssh-keygen", "Install the OpenSSH client: the engine signs its commits with it.")
    yield _on_path("git", "The engine needs none; your own clone of the vault does.")


def _on_path(name: str, remedy: str) -> Program:
    path = shutil.which(name)
    return Program(name, found=path is not None, detail=path or remedy)


def _print(report: Report) -> None:
    say = output.console.print
    if report.settings_problem:
        say(Text(f"Settings are wrong, so their defaults count here: {report.settings_problem}\n", "red"))
    say(Text(f"The fence, tried out on {platform.system()} {platform.release()}, {platform.machine()}:\n"))
    for layer in report.layers:
        _print_layer(layer)
    say(Text("\nWhat follows for sessions of each class:\n"))
    styles = {"fenced": "green", "degraded": "yellow", REFUSED: "red"}
    for each in report.classes:
        reason = f" ({each.reason})" if each.reason else ""
        say(Text.assemble(f"  {each.audience:<8}", (each.confinement, styles[each.confinement]), reason))
    if report.cell_problem:
        say(Text(f"\nBut a program that should run in a cell did not: {report.cell_problem}", "red"))
    say(Text("\nPrograms:\n"))
    for program in report.programs:
        sign = ("found    ", "green") if program.found else ("missing  ", "yellow")
        say(Text.assemble("  ", sign, f"{program.name:<12}", (program.detail, "dim")))


def _print_layer(layer: dict[str, Any]) -> None:
    say = output.console.print
    if not layer["required"]:
        # The engine does without, whether the machine has it or not.
        say(Text.assemble("  ", ("optional ", "dim"), f"{layer['title']:<20}", (layer["does"], "dim")))
        return
    missing = ("missing  ", "red")
    sign = ("found    ", "green") if layer["found"] else missing
    detail = f"{layer['errno']}: {layer['detail']}" if layer["errno"] else layer["detail"]
    say(Text.assemble("  ", sign, f"{layer['title']:<20}", (detail, "dim")))
    if not layer["found"]:
        say(Text(f"{'':11}Is for: {layer['does']}\n{'':11}Remedy: {layer['remedy']}"))
