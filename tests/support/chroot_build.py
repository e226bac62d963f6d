"""Build the Dockerfile without Docker: each stage a folder, each RUN in a chroot; then start what came out.

Usage, as root on Debian: python -m support.chroot_build WORKPLACE [--without-claude]   (PYTHONPATH=tests)

debootstrap's Debian with its own Python stands in for the base image, which needs a registry of images. The
release and the Python's version are those of the base image; what differs is where Python lies.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from support.dockerfile import ROOT, Instruction, Stage, is_sent, pairs, read, stages

RELEASE = "trixie"
PATIENCE = 60.0
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a script that people watch


def base(folder: Path) -> Path:
    """A small Debian with Python, once; it trusts the certificates that this machine trusts."""
    if not (folder / "usr/local/bin/python").is_symlink():
        include = "--include=python3,python3-venv,python3-pip,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", include, RELEASE, folder], check=True)
        certificates = "etc/ssl/certs/ca-certificates.crt"
        shutil.copy(Path("/") / certificates, folder / certificates)
        # The base image comes without bytecode.
        for compiled in [*folder.glob("usr/lib/python3*/**/__pycache__")]:
            shutil.rmtree(compiled)
        (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    return folder


class Image:
    """A stage as a folder, and what its ENV, WORKDIR, USER and SHELL say so far."""

    def __init__(self, folder: Path, start: "Path | Image", others: Mapping[str, "Image"]) -> None:
        self.folder = folder
        self.environment = {"PATH": BASE_PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        self.directory, self.user, self.shell = "/", "0:0", ["/bin/sh", "-c"]
        self.entrypoint: list[str] = []
        self._others = others
        source = start
        if isinstance(start, Image):
            self.environment, self.directory, source = dict(start.environment), start.directory, start.folder
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), folder], check=True)

    def follow(self, instruction: Instruction) -> None:
        """Do what an instruction says, and say what was done."""
        say(f"  {instruction}")
        match instruction.keyword:
            case "RUN":
                self._build(instruction)
            case "COPY":
                self._copy(instruction)
            case "ENV":
                self.environment.update(pairs(instruction, self.environment))
            case "WORKDIR":
                self.directory = instruction.value
                self._inside(self.directory).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = instruction.value
                self.environment["HOME"] = self._home(instruction.value.partition(":")[0])
            case "SHELL":
                self.shell = instruction.words
            case "ENTRYPOINT":
                self.entrypoint = instruction.words
            case _:
                say("    not executed: it tells Docker something about the image")

    def command(self, words: Sequence[str], *, read_only: bool = False) -> list[str]:
        """How `words` are run in the folder: with mounts and processes of their own, as in a container."""
        root = self.folder
        mounts = [f"mount -t proc proc {root}/proc"]
        if read_only:
            mounts = [
                f"mount --bind {root} {root}",
                *mounts,
                f"mount --bind {root}/state {root}/state",
                f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",
                f"mount -o remount,ro,bind {root}",
            ]
        inside = ["chroot", f"--userspec={self.user}", str(root), "env", "-C", self.directory, *words]
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"]
        return [*apart, f'{"; ".join(mounts)}; exec "$@"', "sh", *inside]

    def run(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; its output is kept."""
        return subprocess.run(
            self.command(words),
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _build(self, instruction: Instruction) -> None:
        started = time.monotonic()
        done = self.run(*self.shell, instruction.value)
        if done.returncode != 0:
            sys.exit(f"{instruction}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        say(f"    done in {time.monotonic() - started:.1f} s")

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.words
        image = self._others.get(instruction.flags.get("from", ""))
        for source in sources:
            path = image.folder / source.lstrip("/") if image else ROOT / source
            place = self._inside(target)
            if path.is_dir():
                shutil.copytree(
                    path, place, symlinks=True, dirs_exist_ok=True, ignore=None if image else _unsent
                )
                continue
            assert image or is_sent(source), f"{source} is not sent: .dockerignore keeps it back"
            place = place / path.name if target.endswith("/") else place
            shutil.copy2(path, place)
            if "chmod" in instruction.flags:
                place.chmod(int(instruction.flags["chmod"], 8))

    def _home(self, user: str) -> str:
        rows = (row.split(":") for row in self._inside("/etc/passwd").read_text().splitlines())
        return next(row[5] for row in rows if user in row[:3])

    def _inside(self, path: str) -> Path:
        # What is absolute starts anew; what is not begins in the working directory.
        return self.folder / str(Path(self.directory) / path).lstrip("/")


def _unsent(folder: str, names: list[str]) -> list[str]:
    below = Path(folder).relative_to(ROOT)
    return [name for name in names if not is_sent(str(below / name))]


def build(workplace: Path, start: Path, **arguments: str) -> Image:
    """Build what the last stage needs, from the first instruction on; the image."""
    found = stages(read(), **arguments)
    python = found[0].base
    needed, images = _needed(found), dict[str, Image]()
    for stage in found:
        if stage.name in needed:
            say(f"stage {stage.name} FROM {stage.base}")
            begin: Path | Image = start if stage.base == python else images[stage.base]
            images[stage.name] = Image(workplace / stage.name, begin, images)
            for instruction in stage.instructions:
                images[stage.name].follow(instruction)
    return images[found[-1].name]


def _needed(found: list[Stage]) -> set[str]:
    by_name, needed, open_ = {stage.name: stage for stage in found}, set[str](), [found[-1].name]
    while open_:
        name = open_.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            open_ += [by_name[name].base]
            open_ += [i.flags["from"] for i in by_name[name].instructions if "from" in i.flags]
    return needed


def try_out(image: Image, *, claude: bool) -> None:
    """Use the image as a person would; ends with a message where it does not do what it should."""
    where = {"VAULTLOOP_FOLDER": "/state/vault"}
    _expect(image, ["entrypoint.sh"], 78, "no vault is named")
    _expect(image, ["entrypoint.sh", "vaultloop", "--version"], 0, "vaultloop, version")
    _expect(image, ["claude", "--version"], 0 if claude else 127, "(Claude Code)" if claude else "")
    for absent in ("pip", "gcc"):
        _expect(image, ["sh", "-c", f"test ! -e /opt/vaultloop/bin/{absent}"], 0, "")
    _expect(image, ["vaultloop", "init", "/state/vault"], 0, "Will run")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = image.command(image.entrypoint, read_only=True)
    variables = {**image.environment, **where, "VAULTLOOP_WEB": address}
    log = (image.folder.parent / "engine.log").open("w+")
    with log, subprocess.Popen(command, env=variables, stdout=log, stderr=subprocess.STDOUT) as container:
        try:
            say(f"  GET /healthz of the image, its root read-only: {_healthy(address, container)}")
            init = int(Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text())
            os.kill(init, signal.SIGTERM)
            code = container.wait(timeout=PATIENCE)
        finally:
            container.kill()
            log.seek(0)
            say("".join(f"    | {line}" for line in log))
    say(f"  TERM to its PID 1: it ended with exit code {code}")
    if code != 0:
        sys.exit("a container that is stopped ends with 0")


def _healthy(address: str, container: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and container.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://{address}/healthz", timeout=5) as answer:
            return str(answer.read().decode())
        time.sleep(0.2)
    sys.exit(f"/healthz did not become healthy within {PATIENCE:.0f} s")


def _expect(image: Image, words: list[str], code: int, said: str) -> None:
    done = image.run(*words)
    text = (done.stdout + done.stderr).strip()
    say(f"  $ {' '.join(words)}\n    {done.returncode}: {text.splitlines()[0] if text else ''}")
    if done.returncode != code or said not in text:
        sys.exit(f"expected {code} and {said!r}:\n{text}")


def main() -> None:
    workplace, without = Path(sys.argv[1]).absolute(), "--without-claude" in sys.argv
    workplace.mkdir(parents=True, exist_ok=True)
    start = base(workplace / "base")
    images = workplace / "stages"
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir()
    image = build(images, start, CLAUDE="without" if without else "with")
    try_out(image, claude=not without)
    size = subprocess.run(
        ["du", "-sxm", start, image.folder], capture_output=True, text=True, check=True
    ).stdout
    say(f"sizes in MB (base, image):\n{size}")


if __name__ == "__main__":
    main()
