"""Where text goes from less trusted hands into more trusted ones: what scopes write and others read.

A session that reads text is steered by it. What a group wrote therefore speaks in the owner's own sessions,
with the owner's rights, as soon as these read it. It also does so by way of others: what a session writes is
worth no more trust than the least trusted text that it read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from vaultloop.model.finding import Finding
from vaultloop.model.flow import Flow, Reads, Told, Trust, Writes
from vaultloop.model.overlap import meeting
from vaultloop.model.policy import Audience
from vaultloop.model.problem import Severity
from vaultloop.model.resource import AnyResource, Ref

FlowT = TypeVar("FlowT", Writes, Reads, Told)

_WHO = {
    Audience.OWNER: "you alone",
    Audience.CRON: "runs without a chat",
    Audience.GROUP: "a group",
    Audience.PUBLIC: "anyone",
}


@dataclass(frozen=True, slots=True)
class Writer:
    """A scope that may write a file, and who that is in words."""

    scope: str
    who: str


@dataclass(frozen=True, slots=True)
class _Of(Generic[FlowT]):
    ref: Ref
    flow: FlowT


class Flows:
    """The flows that a vault's valid notes declare; paused ones have none."""

    def __init__(self, resources: Mapping[Ref, AnyResource]) -> None:
        self._writes: list[_Of[Writes]] = []
        self._reads: list[_Of[Reads]] = []
        self._told: list[_Of[Told]] = []
        for ref, resource in sorted(resources.items()):
            for flow in () if resource.spec.paused else resource.spec.flows():
                self._take(ref, flow)
        self._carried = self._all_carried()

    def _take(self, ref: Ref, flow: Flow) -> None:
        match flow:
            case Writes():
                self._writes.append(_Of(ref, flow))
            case Reads():
                self._reads.append(_Of(ref, flow))
            case Told():
                self._told.append(_Of(ref, flow))

    def findings(self) -> Iterator[tuple[Ref, Finding]]:
        """What is wrong, each with the note in which it can be put right."""
        for reader in self._reads:
            yield from self._read(reader)
        for told in self._told:
            yield from self._remembered(told)

    def less_trusted_writers(self, path: str) -> Iterator[Writer]:
        """Who may write the file at `path` though every session is told it, also of those trusted more."""
        most = max((reader.flow.trust for reader in self._reads), default=Trust.PUBLIC)
        yield from self._writers(path, below=most)

    def _all_carried(self) -> dict[Ref, list[_Of[Writes]]]:
        """For each scope the writers, trusted less than its people, whose text reaches it, by whatever way.

        That a scope trusts a writer changes nothing here: what it writes then speaks for that writer too.
        """
        carried: dict[Ref, list[_Of[Writes]]] = {}
        for origin in self._writes:
            waiting = [origin]
            while waiting:
                writer = waiting.pop()
                for reader in self._reads:
                    known = carried.setdefault(reader.ref, [])
                    if reader.flow.trust > origin.flow.trust and origin not in known and _met(writer, reader):
                        known.append(origin)
                        waiting += (other for other in self._writes if other.ref == reader.ref)
        return carried

    def _read(self, reader: _Of[Reads]) -> Iterator[tuple[Ref, Finding]]:
        offered: list[str] = []
        trusted = {name.casefold() for name in reader.flow.trusted}
        heard = {
            writer.ref
            for writer in self._writes
            if writer.flow.trust < reader.flow.trust and _met(writer, reader)
        }
        for writer in self._writes:
            if writer.ref.name.casefold() in trusted or writer.ref == reader.ref:
                continue
            if writer.ref in heard:
                yield (
                    reader.ref,
                    _untrusted_reading(writer, _met(writer, reader), reader.flow.trusted, offered),
                )
                continue
            for origin in self._carried.get(writer.ref, ()):
                if origin.flow.trust >= reader.flow.trust or origin.ref in heard | {reader.ref}:
                    continue
                if origin.ref.name.casefold() not in trusted and (pattern := _met(writer, reader)):
                    finding = _untrusted_reading(writer, pattern, reader.flow.trusted, offered)
                    yield reader.ref, _passed_on(finding, writer, origin)
                    break

    def _remembered(self, told: _Of[Told]) -> Iterator[tuple[Ref, Finding]]:
        hearers = {
            reader.ref.name: reader.flow.trust
            for reader in self._reads
            if reader.ref.name in told.flow.scopes
            or (not told.flow.scopes and reader.flow.audience is Audience.OWNER)
        }
        most = max(hearers.values(), default=Trust.PUBLIC)
        hearer = next((name for name, trust in hearers.items() if trust is most), "")
        if not told.flow.in_vault:
            for name in sorted(name for name, trust in hearers.items() if trust < most):
                yield told.ref, _shared_memory(name, hearer, told.flow.scopes.index(name))
            return
        for writer in self._writers(told.flow.path, below=most):
            yield told.ref, _untrusted_memory(writer, told.flow.path, hearer)

    def _writers(self, path: str, below: Trust) -> Iterator[Writer]:
        for writer in self._writes:
            who = self._less_trusted(writer, below)
            if who and meeting(writer.flow.patterns, (path,), writer.flow.hidden):
                yield Writer(writer.ref.name, who)

    def _less_trusted(self, writer: _Of[Writes], below: Trust) -> str:
        """Who speaks in what a scope writes, if they are trusted less; empty if not.

        The owner's own chats pass nothing on here: what they read was told there, and the owner looks on.
        """
        who = _WHO[writer.flow.audience]
        if writer.flow.trust < below:
            return who
        if writer.flow.audience is Audience.OWNER:
            return ""
        origins = (origin for origin in self._carried.get(writer.ref, ()) if origin.flow.trust < below)
        return next((f"{who}, and reads what {_named(origin)} writes" for origin in origins), "")


def _met(writer: _Of[Writes], reader: _Of[Reads]) -> str:
    """A pattern of the writer's that names a file which the reader sees; empty if none does."""
    if writer.ref == reader.ref:
        return ""
    hidden = (*writer.flow.hidden, *reader.flow.hidden)
    met = meeting(writer.flow.patterns, reader.flow.patterns, hidden)
    return met[0] if met else ""


def _named(origin: _Of[Writes]) -> str:
    return f"`{origin.ref.name}` ({_WHO[origin.flow.audience]})"


def _passed_on(finding: Finding, writer: _Of[Writes], origin: _Of[Writes]) -> Finding:
    message = f"{finding.message} `{writer.ref.name}` passes on what {_named(origin)} writes."
    return replace(finding, message=message)


def _untrusted_reading(
    writer: _Of[Writes], pattern: str, trusted: tuple[str, ...], offered: list[str]
) -> Finding:
    """What is told about a writer; `offered` are those told about before: `trusts` is one line for all."""
    name = writer.ref.name
    offered.append(name)
    message = (
        f"The agent reads here, with the rights of this scope, what `{name}` ({_WHO[writer.flow.audience]})"
        f" may write in `{pattern}`. If that is not meant, name it in `except`."
    )
    warning = Severity.WARNING
    links = ", ".join(f'"[[{each}]]"' for each in (*trusted, *offered))
    if not trusted and offered == [name]:
        return Finding("trusts", "untrusted-reading", message, add=f"trusts: {links}", severity=warning)
    if not trusted:
        cure = f"Name them all in one line, `trusts: [{links}]`; in `except`, what is not meant."
        return Finding("trusts", "untrusted-reading", message, cure, severity=warning)
    return Finding("trusts", "untrusted-reading", message, write=f"[{links}]", severity=warning)


def _untrusted_memory(writer: Writer, path: str, hearer: str) -> Finding:
    message = (
        f"The scope `{writer.scope}` ({writer.who}) may write `{path}`, and sessions of `{hearer}` know it:"
        " who writes a memory must be trusted as much as who has it."
    )
    cure = (
        f"Name `{path}` in `except` of the scope `{writer.scope}`,"
        f" or keep a memory of its own for `{hearer}`."
    )
    return Finding("path", "untrusted-memory", message, cure)


def _shared_memory(name: str, hearer: str, item: int) -> Finding:
    message = (
        f"Sessions of `{name}` write this memory, and those of `{hearer}`, who are trusted more, know it:"
        " who writes a memory must be trusted as much as who has it."
    )
    cure = f"Delete `{name}` here and write a memory of its own for it."
    return Finding("scopes", "untrusted-memory", message, cure, item=item)
