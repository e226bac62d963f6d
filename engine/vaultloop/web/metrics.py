"""`/metrics`: how the engine is, in the text format of Prometheus (exposition format 0.0.4).

It names no note, chat or person. https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """One name with its samples; a sample without a value is left out."""

    name: str
    kind: str
    help: str
    samples: tuple[tuple[Labels, float | None], ...]

    def lines(self) -> Iterator[str]:
        shown = [(labels, value) for labels, value in self.samples if value is not None]
        if not shown:
            return
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in shown:
            yield f"{self.name}{_braced(labels)} {value:.15g}"


def text(figures: Mapping[str, Any] | None, webhooks: Mapping[str, int]) -> str:
    """The page: what the engine says of itself, None where it does not answer, and what was counted here."""
    metrics = [
        _gauge("vaultloop_up", "Whether the engine answers.", float(figures is not None)),
        *(_of_engine(figures) if figures is not None else ()),
        Metric(
            "vaultloop_webhooks_total",
            "counter",
            "Requests to /hooks/git since the web process started, by what became of them.",
            _by("result", webhooks),
        ),
    ]
    return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def _of_engine(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """What it says; one that stands by says little, and what it does not say is left out."""
    yield _gauge("vaultloop_ready", "Whether a revision has been applied.", figures.get("ready"))
    yield _gauge("vaultloop_acting", "Whether this engine acts, or another one does.", figures.get("acting"))
    if "revision" in figures:
        revisions = {name: str(figures.get(name) or "")[:12] for name in ("revision", "applied")}
        help_ = "The newest revision, and the newest of which nothing is left to do."
        yield Metric("vaultloop_revision_info", "gauge", help_, ((revisions, 1.0),))
    if push := figures.get("push"):
        states = {state: float(state == push) for state in _PUSH_STATES}
        help_ = "1 for where the newest commit is: local, pushed or stranded."
        yield Metric("vaultloop_push_state", "gauge", help_, _by("state", states))
    yield from _of_sync(figures)
    conditions = _by("condition", figures.get("conditions", {}))
    yield Metric("vaultloop_resources", "gauge", "Declarations, by how they stand.", conditions)
    turns = _by("state", figures.get("turns", {}))
    yield Metric("vaultloop_turns", "gauge", "Turns that have not ended.", turns)
    missed = figures.get("slots_missed")
    yield _gauge("vaultloop_slots_missed", "Slots on record that were not run in time.", missed)


def _of_sync(figures: Mapping[str, Any]) -> Iterator[Metric]:
    for key, (name, help_) in _SINCE.items():
        yield _gauge(name, help_, figures.get(key))
    sync = figures.get("sync", {})
    for key, (name, help_) in _SYNC.items():
        yield _gauge(name, help_, sync.get(key))


_PUSH_STATES = ("local", "pushed", "stranded")

# By the keys of the engine's figures, and of those of its sync.
_SINCE = {
    "stranded_since": (
        "vaultloop_stranded_since_timestamp_seconds",
        "Since when pushing fails; left out while it does not.",
    ),
    "trouble_since": (
        "vaultloop_sync_trouble_since_timestamp_seconds",
        "Since when the remote cannot be talked to; left out while it can.",
    ),
}
_SYNC = {
    "contact_age_seconds": ("vaultloop_sync_age_seconds", "How long ago the remote answered last."),
    "commits_ahead": ("vaultloop_ahead_commits", "Commits that the remote does not have yet."),
    "paused": ("vaultloop_sync_paused", "1 while sync stands still until somebody acts."),
    "held": (
        "vaultloop_merge_held",
        "Declarations on which two writers do not agree yet.",
    ),
    "merges": ("vaultloop_merges", "Merges since the engine started."),
    "mended": ("vaultloop_merge_mended", "Notes that came with conflict markers, since the engine started."),
}


def _gauge(name: str, help_: str, value: float | None) -> Metric:
    return Metric(name, "gauge", help_, (({}, value),))


def _by(label: str, values: Mapping[str, float]) -> tuple[tuple[Labels, float | None], ...]:
    return tuple(({label: str(key)}, float(value)) for key, value in sorted(values.items()))


def _braced(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def total(counts: Mapping[Any, int], names: Iterable[Any]) -> dict[str, int]:
    """Counts with a zero for what never happened, so that a rate can be told from the first one on."""
    return {str(name): counts[name] for name in names}
