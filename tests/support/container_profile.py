"""An ordinary container, as far as system calls go: Docker's default profile as a filter, without Docker.

`tests/data/docker-default-seccomp.json` is compiled for a process without capabilities on x86_64, as the
container runtime does it: what no rule allows fails with EPERM, and calls newer than the profile with ENOSYS.
A test process installs it and then tries what must also work in a container:

    python -m support.container_profile COMMAND ...    runs a command under it
    install()                                          puts the calling process under it

The filter is for ever, so a process of its own is needed. It is an emulation: no other namespaces, cgroups,
AppArmor or masked paths, which only a real container has.
"""

import errno
import json
import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vaultloop.sandbox import seccomp
from vaultloop.sandbox.bpf import (
    ALLOW,
    ARCHITECTURE,
    NUMBER,
    Label,
    Program,
    argument,
    refuse,
    upper_half,
)
from vaultloop.sandbox.kernel import no_new_privileges
from vaultloop.sandbox.syscalls import X86_64

_DATA = Path(__file__).parent.parent / "data"
PROFILE = _DATA / "docker-default-seccomp.json"
_NUMBERS = _DATA / "syscalls-x86_64.txt"

_ARCHITECTURE = "amd64"
_KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])

Rule = Mapping[str, Any]


def install() -> None:
    """Put the calling thread, and what it starts, under the profile for ever.

    Raises:
        OSError: the kernel refuses.
    """
    no_new_privileges()
    seccomp.load(X86_64, program(), 0)


@cache
def program() -> bytes:
    """The profile as a filter."""
    profile = json.loads(PROFILE.read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    by_number: dict[int, list[Rule]] = defaultdict(list)
    known = numbers()
    for rule in filter(_applies, profile["syscalls"]):
        for name in rule["names"]:
            if name in known:
                by_number[known[name]].append(rule)
    made = Program()
    _begin(made, max(known.values()), profile["defaultErrnoRet"])
    for number, rules in by_number.items():
        _add(made, number, rules, profile["defaultErrnoRet"])
    made.answer(refuse(profile["defaultErrnoRet"]))
    return made.assembled()


@cache
def numbers() -> Mapping[str, int]:
    """The system calls of x86_64, by name."""
    lines = (line.split() for line in _NUMBERS.read_text().splitlines() if not line.startswith("#"))
    return {name: int(number) for number, name in lines}


def _applies(rule: Rule) -> bool:
    """Whether a rule counts for a process without capabilities on this machine."""
    needed, barred = rule.get("includes", {}), rule.get("excludes", {})
    if needed.get("caps") or _ARCHITECTURE not in needed.get("arches", [_ARCHITECTURE]):
        return False
    oldest = tuple(int(part) for part in needed.get("minKernel", "0.0").split("."))
    return oldest <= _KERNEL and _ARCHITECTURE not in barred.get("arches", [])


def _begin(made: Program, newest: int, otherwise: int) -> None:
    ours, known, foreign = Label(), Label(), Label()
    made.load(ARCHITECTURE)
    made.if_equal(X86_64.audit, ours, foreign)
    made.put(foreign)
    made.answer(refuse(otherwise))
    made.put(ours)
    made.load(NUMBER)
    made.if_greater(newest, None, known)
    made.answer(refuse(errno.ENOSYS))
    made.put(known)


def _add(made: Program, number: int, rules: Sequence[Rule], otherwise: int) -> None:
    """The rules of one call; the first that fits decides."""
    other = Label()
    made.if_equal(number, None, other)
    for rule in rules:
        unfit = Label()
        for condition in rule.get("args", ()):
            _require(made, condition, unfit)
        made.answer(_action(rule))
        made.put(unfit)
        if not rule.get("args"):
            break
    else:
        made.answer(refuse(otherwise))
    made.put(other)


def _action(rule: Rule) -> int:
    if rule["action"] == "SCMP_ACT_ALLOW":
        return ALLOW
    assert rule["action"] == "SCMP_ACT_ERRNO"
    return refuse(rule.get("errnoRet", errno.EPERM))


def _require(made: Program, condition: Mapping[str, Any], unfit: Label) -> None:
    """Go on if the condition holds for the whole 64 bits of an argument, to `unfit` if not."""
    index, value, fit = condition["index"], condition["value"], Label()
    assert value < 2**32
    match condition["op"]:
        case "SCMP_CMP_EQ":
            made.load(upper_half(index))
            made.if_equal(0, None, unfit)
            made.load(argument(index))
            made.if_equal(value, None, unfit)
        case "SCMP_CMP_LT":
            made.load(upper_half(index))
            made.if_equal(0, None, unfit)
            made.load(argument(index))
            made.if_not_less(value, unfit)
        case "SCMP_CMP_GT":
            made.load(upper_half(index))
            made.if_greater(0, fit)
            made.load(argument(index))
            made.if_greater(value, None, unfit)
        case "SCMP_CMP_MASKED_EQ":
            assert condition.get("valueTwo", 0) == 0
            made.load(argument(index))
            made.if_any_bit(value, unfit)
        case unknown:
            raise AssertionError(f"no comparison {unknown}")
    made.put(fit)


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted
