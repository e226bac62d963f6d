"""What a case is, and what it is told about its targets."""

import os
from collections.abc import Callable
from dataclasses import dataclass


class Stopped(Exception):
    """The attack did not get what it wanted, though no call failed; the text says why."""


class Granted(Exception):
    """The session's scope grants it: no attack here."""


@dataclass(frozen=True)
class Targets:
    """What the hostile program is told.

    Attributes:
        canary: in everything that is secret. Whoever shows it has seen something.
        view, home, scratch: its own.
        secret_note: a note in the view of another session, which has a wider scope.
        state: the engine's state directory; `operator` the home of the one who runs the engine.
        engine: process id of the engine; `engine_descriptor` one that it holds open on a secret.
        bystander: a process of the operator that means nothing to anybody.
        supervisor: the parent of the hostile program; None where there is none apart from the engine.
        other: the other session's process; `other_home`, `other_port`, `other_token` are its own.
        control_port: of a TCP server of the operator; `strangers_port` of one that listens on every address.
        abstract: name of an abstract unix socket of the engine, without the zero byte.
        datagram_port: of a UDP server that writes down what it gets.
        door_port, token: its own door to the gateway.
        extra: what single cases need to know beyond that.
    """

    canary: str
    view: str
    home: str
    scratch: str
    secret_note: str
    state: str
    operator: str
    engine: int
    engine_descriptor: int
    bystander: int
    supervisor: int | None
    other: int
    other_home: str
    other_port: int
    other_token: str
    control_port: int
    abstract: str
    datagram_port: int
    door_port: int
    token: str
    extra: dict[str, str]

    def seen(self, data: bytes | str) -> str:
        """Evidence that `data` is secret.

        Raises:
            Stopped: the canary is not in it.
        """
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        if self.canary not in text:
            raise Stopped("no secret in what was read")
        return "read a secret"

    def read(self, path: str) -> str:
        """Evidence that the file at `path` can be read."""
        with open(path, "rb") as file:
            return self.seen(file.read(1 << 20))


# An attack returns what it got, in a few words. It raises OSError or Stopped when it was stopped.
Attack = Callable[[Targets], str]


@dataclass(frozen=True)
class Case:
    """One attack.

    Attributes:
        claim: the first line of its docstring: what it tries.
        open_otherwise: with the fence off it succeeds on every machine; so the suite can fail.
        residual: what remains of it behind the fence, by design; empty for none.
        alone: it ends its session, or is judged by the end of it, so it needs one for itself.
        outside: it is judged from outside, after the session; what it returns is what it has done.
        harmful: without a fence it would harm the machine, so that it is not tried there.
    """

    name: str
    subject: str
    claim: str
    attack: Attack
    open_otherwise: bool
    residual: str
    alone: bool
    outside: bool
    harmful: bool


CASES: dict[str, Case] = {}


def case(
    subject: str,
    *,
    open_otherwise: bool = True,
    residual: str = "",
    alone: bool = False,
    outside: bool = False,
    harmful: bool = False,
) -> Callable[[Attack], Attack]:
    """Put an attack into the catalogue under its function's name."""

    def catalogued(attack: Attack) -> Attack:
        name = attack.__name__.replace("_", "-")
        claim = (attack.__doc__ or "").strip().partition("\n")[0]
        assert claim.endswith("."), f"{name} does not say what it tries"
        assert name not in CASES, f"two attacks are named {name}"
        CASES[name] = Case(name, subject, claim, attack, open_otherwise, residual, alone, outside, harmful)
        return attack

    return catalogued


def errno_of(result: int, errno: int) -> int:
    """The result of a system call.

    Raises:
        OSError: it failed.
    """
    if result < 0:
        raise OSError(errno, os.strerror(errno))
    return result
