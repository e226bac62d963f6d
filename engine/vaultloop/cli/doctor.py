"""`vaultloop doctor`: what this machine can hold sessions in with, and how to mend what is missing."""

import os
import platform
import shutil
import subprocess
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
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.runners.claude.program import INSTALL, PATIENCE
from vaultloop.runners.claude.version import OLDEST, parsed, remark
from vaultloop.sandbox.probe import LAYERS, MAY_BE_DEGRADED, Finding, Probe, probe
from vaultloop.settings import InvalidSettings, Settings, load


@click.command(name="doctor")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (vaultloop.toml).")
@as_json
def command(config: Path | None, *, as_json: bool) -> None:
    """Try every layer of the fence, here and now, and say what follows.

    Needs no running engine and no vault. Exit 0 if every class of sessions is fenced, or degraded as the
    settings allow; 1 if one is refused. How to mend what is missing: docs/fence.md.
    """
    settings, problem = _settings(config)
    found = probe()
    report = Report(
        settings_problem=problem,
        layers=[_layer(finding) for finding in found.findings],
        landlock_abi=found.abi,
        classes=[_consequence(found, audience, settings) for audience in Audience],
        programs=list(_programs(settings)),
    )
    if as_json:
        output.print_json(asdict(report))
    else:
        _print(report)
    sys.exit(1 if any(each.confinement == REFUSED for each in report.classes) else 0)


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
    """All that is told; `--json` prints it, so its fields are a contract."""

    settings_problem: str
    layers: list[dict[str, Any]]
    landlock_abi: int
    classes: list[Class]
    programs: list[Program]


def _settings(config: Path | None) -> tuple[Settings, str]:
    """The settings as far as there are any, and what is wrong with them; no vault needs to be named."""
    nowhere = {"folder": Path.cwd()}
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


def _programs(settings: Settings) -> Iterator[Program]:
    yield _claude(settings)
    yield _on_path("ssh-keygen", "Install the OpenSSH client: the engine signs its commits with it.")
    yield _on_path("git", "The engine needs none; your own clone of the vault does.")


def _claude(settings: Settings) -> Program:
    path = shutil.which(settings.claude)
    if path is None:
        cure = f"{INSTALL}, or write `runner: command` in the defaults note."
        return Program("claude", found=False, detail=f"Looked for `{settings.claude}`. {cure}")
    version = parsed(_said(path, "--version"))
    if version is None or version < OLDEST:
        return Program("claude", found=False, detail=f"{path} is not version {OLDEST} or newer. {INSTALL}.")
    return Program("claude", found=True, detail=f"{path}, {remark(version) or f'version {version}'}")


def _said(*command: str) -> str:
    """What a program says, with none of the engine's own environment but the search path."""
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with tempfile.TemporaryDirectory(prefix="vaultloop-doctor-") as home:
        try:
            ended = subprocess.run(
                command,
                env={**environment, "HOME": home, "TMPDIR": home},
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return ended.stdout.decode(errors="replace")


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
    say(Text("\nPrograms:\n"))
    for program in report.programs:
        sign = ("found    ", "green") if program.found else ("missing  ", "yellow")
        say(Text.assemble("  ", sign, f"{program.name:<12}", (program.detail, "dim")))


def _print_layer(layer: dict[str, Any]) -> None:
    say = output.console.print
    missing = ("missing  ", "red" if layer["required"] else "dim")
    sign = ("found    ", "green") if layer["found"] else missing
    detail = f"{layer['errno']}: {layer['detail']}" if layer["errno"] else layer["detail"]
    say(Text.assemble("  ", sign, f"{layer['title']:<20}", (detail, "dim")))
    if not layer["found"]:
        say(Text(f"{'':11}Is for: {layer['does']}\n{'':11}Remedy: {layer['remedy']}"))
