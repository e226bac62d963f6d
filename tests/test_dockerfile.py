"""The image: what the Dockerfile says, and its lines executed as far as that goes without Docker.

Here the lines of the stage `build` run, in folders of their own, and the entrypoint starts what they made.
Three are not run here, because they want root, Debian's packages or 170 MB: apt-get and useradd; the library
of the base image compiled; Claude Code fetched. As root on Debian, `support.chroot_build` runs them in a
chroot and tries the image out. What neither executes: FROM, which needs a registry of images, and what only
tells Docker something (LABEL, VOLUME, EXPOSE, HEALTHCHECK).
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from support.dockerfile import ROOT, Instruction, is_sent, read, stages
from support.installation import environment
from vaultloop import __version__
from vaultloop.cli import COMMANDS, FOR_PROGRAMS
from vaultloop.settings import PREFIX, Settings

INSTRUCTIONS = read()
STAGES = {stage.name: stage for stage in stages(INSTRUCTIONS)}
FINAL = STAGES["final"].instructions


def of(keyword: str, instructions: list[Instruction] = FINAL) -> list[Instruction]:
    return [instruction for instruction in instructions if instruction.keyword == keyword]


def test_the_base_is_pinned_and_one_for_all_stages() -> None:
    bases = {stage.base for stage in STAGES.values() if stage.base not in STAGES}
    [base] = bases
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    assert STAGES["claude"].base == "claude-with"
    assert stages(INSTRUCTIONS, CLAUDE="without")[-2].base == "claude-without"


def test_it_runs_as_a_user_that_is_not_root_and_that_it_makes() -> None:
    [user] = of("USER")
    number, group = user.value.split(":")
    assert int(number) > 0
    assert group == number
    assert any(f"useradd --uid {number} " in run.value for run in of("RUN"))
    assert of("USER")[0].line > max(run.line for run in of("RUN"))


def test_the_state_is_a_volume_and_where_the_engine_looks() -> None:
    [volume] = of("VOLUME")
    [*_, last] = of("ENV")
    assert f"VAULTLOOP_STATE={volume.value}" in last.value
    assert any(f"-m 700 {volume.value}" in run.value for run in of("RUN"))
    named = set(re.findall(rf"{PREFIX}(\w+)=", last.value))
    assert named <= {name.upper() for name in Settings.model_fields}
    [port] = of("EXPOSE")
    assert f"VAULTLOOP_WEB=:{port.value}" in last.value


def test_what_is_started_is_an_argument_list_that_exists() -> None:
    [entrypoint], [check] = of("ENTRYPOINT"), of("HEALTHCHECK")
    assert entrypoint.words == ["tini", "-s", "--", "entrypoint.sh"]
    assert any(" tini" in run.value for run in of("RUN"))
    assert check.value.endswith('CMD ["vaultloop", "health"]')
    assert "health" in COMMANDS or "health" in FOR_PROGRAMS
    assert of("CMD") == []


def test_the_version_on_the_label_is_ours() -> None:
    [version] = of("ARG")
    assert version.value == f"VERSION={__version__}"


def test_no_build_tool_and_no_source_reaches_the_image() -> None:
    copied = [(copy.flags.get("from"), copy.words[0]) for copy in of("COPY")]
    assert copied == [("claude", "/opt/claude/"), ("build", "/opt/vaultloop"), (None, "entrypoint.sh")]
    installed = " ".join(run.value for run in of("RUN"))
    assert not re.search(r"\b(gcc|build-essential|git|curl|pip)\b", installed)
    assert of("ADD", INSTRUCTIONS) == []


def test_the_compose_file_fits_the_image() -> None:
    service = yaml.safe_load((ROOT / "docs" / "compose.yaml").read_text())["services"]["vaultloop"]
    [volume], [port] = of("VOLUME"), of("EXPOSE")
    assert service["volumes"] == [f"state:{volume.value}"]
    assert service["ports"] == [f"127.0.0.1:{port.value}:{port.value}"]
    assert (ROOT / "docs" / service["build"]).resolve() == ROOT
    assert service["read_only"]
    assert service["stop_grace_period"] == "30s"


def sources() -> list[str]:
    copies = [copy for copy in of("COPY", INSTRUCTIONS) if "from" not in copy.flags]
    return [source for copy in copies for source in copy.words[:-1]]


@pytest.mark.parametrize("source", sources())
def test_what_is_copied_exists_and_is_sent(source: str) -> None:
    assert (ROOT / source).exists()
    assert is_sent(source)


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "demo/state/engine.db", "tests/test_app.py", "vaultloop.toml",
             ".env", "engine/vaultloop/__pycache__/app.cpython-311.pyc"],
)  # fmt: skip
def test_nothing_private_or_stale_is_sent(path: str) -> None:
    assert not is_sent(path)


@dataclass(frozen=True)
class Built:
    """What the stage `build` made, with a folder in place of `/`."""

    root: Path
    executed: list[str]

    @property
    def programs(self) -> Path:
        return self.root / "opt/vaultloop/bin"

    def entrypoint(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self.programs}:{os.defpath}"
        command = ["/bin/sh", str(ROOT / "entrypoint.sh"), *words]
        given = environment(**{"PATH": path, "VAULTLOOP_STATE": str(self.root / "state"), **variables})
        return subprocess.run(
            command, cwd=self.root, env=given, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def built(tmp_path: Path) -> Built:
    """Each instruction of the stage, followed; absolute paths are taken from the folder."""
    root = tmp_path / "image"
    root.mkdir()
    variables, directory, executed = environment(), root, list[str]()

    def within(text: str) -> str:
        return re.sub(r"(?<![\w./])/(?=(opt|src)\b)", f"{root}/", text)

    for instruction in STAGES["build"].instructions:
        match instruction.keyword:
            case "WORKDIR":
                directory = Path(within(instruction.value))
                directory.mkdir()
            case "ENV":
                given = dict(word.split("=", 1) for word in within(instruction.value).split())
                # Here alone: what was fetched once is not fetched again.
                variables |= {name: value for name, value in given.items() if name != "PIP_NO_CACHE_DIR"}
            case "COPY":
                *sources, target = instruction.words
                for source in sources:
                    place = directory / (source if target == "./" else target)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    if (ROOT / source).is_dir():
                        shutil.copytree(ROOT / source, place)
                    else:
                        shutil.copy(ROOT / source, place)
            case "RUN":
                command = ["/bin/sh", "-c", within(instruction.value)]
                done = subprocess.run(
                    command, cwd=directory, env=variables, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{instruction}\n{done.stdout}{done.stderr}"
                executed.append(instruction.value)
    return Built(root, executed)


@pytest.mark.acceptance
@pytest.mark.timeout(300)
def test_the_lines_of_the_build_stage_make_an_environment_that_works_and_is_pinned(
    built: Built, tmp_path: Path
) -> None:
    assert built.executed == [run.value for run in of("RUN", STAGES["build"].instructions)]
    done = built.entrypoint("vaultloop", "--version")
    assert (done.returncode, done.stdout) == (0, f"vaultloop, version {__version__}\n")
    assert built.entrypoint("python", "-c", "import vaultloop.web.server").returncode == 0
    assert "no vault is named" in built.entrypoint().stderr
    # From the wheel, with the template in it: a checkout beside it must not be needed.
    shutil.rmtree(built.root / "src")
    done = built.entrypoint("vaultloop", "init", str(tmp_path / "vault"))
    assert "Will run" in done.stdout, done.stderr
    assert (built.root / "state" / "vaultloop.toml").is_file()
    assert built.entrypoint("vaultloop", "check", str(tmp_path / "vault")).returncode == 0
    assert not (built.programs / "pip").exists()
    _require_pinned_versions(built)


def _require_pinned_versions(built: Built) -> None:
    """The environment holds what is pinned, at the pinned version, and nothing else."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    found = built.entrypoint("python", "-c", code).stdout.split()
    versions = dict(item.split("==") for item in found)
    assert versions.pop("vaultloop") == __version__
    versions.pop("setuptools", None)  # what an environment of Python 3.11 brings along
    assert {"starlette", "uvicorn", "pygit2"} <= versions.keys()
    assert {"pytest", "hatchling", "mypy"}.isdisjoint(versions)

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    wanted = {plain(name): version for name, version in pinned.items()}
    assert {plain(name): version for name, version in versions.items()}.items() <= wanted.items()
