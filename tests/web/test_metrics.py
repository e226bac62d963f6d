"""`/metrics`: figures for Prometheus, for who may see them, and no name in them."""

import re
from pathlib import Path
from typing import Any

import pytest

from support.notes import cron
from support.run import asynchronous
from support.running import BASE, Place
from support.webhooks import BODY, SECRET, answer, github, head, site, status
from vaultloop.aio import rpc
from vaultloop.standby import Face
from vaultloop.state.directory import StateDirectory
from vaultloop.web import metrics
from vaultloop.web.health import figures

# https://prometheus.io/docs/instrumenting/exposition_formats/
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(\{{{_LABEL}(?:,{_LABEL})*\}})? (-?[0-9.e+]+)")

FIGURES: dict[str, Any] = {
    "ready": True,
    "acting": True,
    "revision": "0123456789abcdef",
    "applied": None,
    "push": "stranded",
    "stranded_since": 1795348800.5,
    "trouble_since": None,
    "sync": {
        "paused": 0.0,
        "commits_ahead": 5,
        "contact_age_seconds": 12.5,
        "held": 1,
        "merges": 3,
        "mended": 0,
    },
    "conditions": {"Ready": 3, "Held": 1},
    "turns": {"queued": 2, "running": 1},
    "slots_missed": 4,
}


def read(page: str) -> dict[str, float]:
    """The samples of a page, by name and labels; it must be of the format in every line."""
    assert page.endswith("\n")
    samples: dict[str, float] = {}
    described: dict[str, list[str]] = {}
    for line in page.splitlines():
        if line.startswith("# "):
            _, word, name, _ = line.split(" ", 3)
            described.setdefault(name, []).append(word)
            continue
        found = _SAMPLE.fullmatch(line)
        assert found is not None, line
        assert described[found[1]] == ["HELP", "TYPE"], line
        assert f"{found[1]}{found[2] or ''}" not in samples, line
        samples[f"{found[1]}{found[2] or ''}"] = float(found[3])
    return samples


def test_each_figure_is_a_sample_and_what_is_not_known_is_left_out() -> None:
    samples = read(metrics.text(FIGURES, {"taken": 7, "refused": 0}))
    assert samples["vaultloop_up"] == 1
    assert samples["vaultloop_ready"] == 1
    assert samples['vaultloop_revision_info{revision="0123456789ab",applied=""}'] == 1
    assert samples['vaultloop_push_state{state="stranded"}'] == 1
    assert samples['vaultloop_push_state{state="pushed"}'] == 0
    assert samples["vaultloop_stranded_since_timestamp_seconds"] == 1795348800.5
    assert "vaultloop_sync_trouble_since_timestamp_seconds" not in samples
    assert samples['vaultloop_resources{condition="Ready"}'] == 3
    assert samples['vaultloop_turns{state="queued"}'] == 2
    assert samples["vaultloop_slots_missed"] == 4
    assert samples["vaultloop_ahead_commits"] == 5
    assert samples["vaultloop_sync_age_seconds"] == 12.5
    assert samples["vaultloop_merge_held"] == 1
    assert samples['vaultloop_webhooks_total{result="taken"}'] == 7
    assert samples['vaultloop_webhooks_total{result="refused"}'] == 0


def test_an_engine_that_does_not_answer_is_down_and_has_no_other_figures() -> None:
    assert read(metrics.text(None, {})) == {"vaultloop_up": 0}


@asynchronous
async def test_an_engine_that_stands_by_says_that_it_does_not_act_and_nothing_that_it_does_not_know(
    tmp_path: Path,
) -> None:
    face = Face(lambda: None)
    face.stand_by()
    async with rpc.serving(tmp_path / "engine.sock", face.handlers):
        found = await figures(tmp_path / "engine.sock")
    assert found is not None
    assert read(metrics.text(found, {})) == {"vaultloop_up": 1, "vaultloop_ready": 0, "vaultloop_acting": 0}


def test_a_value_with_quotes_and_line_breaks_stays_one_sample() -> None:
    figures = {**FIGURES, "revision": 'a"b\\c\nd'}
    assert 'vaultloop_revision_info{revision="a\\"b\\\\c\\nd",applied=""}' in read(metrics.text(figures, {}))


@asynchronous
async def test_a_running_engine_counts_without_naming_anything(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, {**BASE, "agent/crons/secretive.md": cron(paused="true")})
    async with place.engine() as running:
        found = await figures(StateDirectory(place.settings.state).socket)
        revision = running.overview()["revision"]
    assert found is not None
    page = metrics.text(found, {})
    samples = read(page)
    assert samples[f'vaultloop_revision_info{{revision="{revision[:12]}",applied="{revision[:12]}"}}'] == 1
    assert samples["vaultloop_ready"] == 1
    assert samples['vaultloop_push_state{state="pushed"}'] == 1
    assert samples['vaultloop_resources{condition="Ready"}'] == 2
    assert samples['vaultloop_turns{state="running"}'] == 0
    assert samples["vaultloop_sync_paused"] == 0
    for name in ("secretive", "owner", "console", "Home", ".md", str(tmp_path)):
        assert name not in page


def asking(**headers: str) -> bytes:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return head(given, 0, method="GET", path="/metrics")


@asynchronous
async def test_where_there_is_a_secret_only_who_brings_it_sees_figures(tmp_path: Path) -> None:
    async with site(tmp_path) as port:
        for wrong in ({}, {"Authorization": "Bearer guess"}, {"Authorization": SECRET}):
            assert await answer(port, asking(**wrong)) == (401, b"")
        assert await status(port, github()) == 503
        assert await status(port, github(BODY, "guess")) == 401
        code, page = await answer(port, asking(Authorization=f"Bearer {SECRET}"))
    samples = read(page.decode())
    assert code == 200
    assert samples["vaultloop_up"] == 0
    assert samples['vaultloop_webhooks_total{result="unheard"}'] == 1
    assert samples['vaultloop_webhooks_total{result="refused"}'] == 1
    assert samples['vaultloop_webhooks_total{result="taken"}'] == 0


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "Via", "X_Real_IP"])
@asynchronous
async def test_without_a_secret_only_this_machine_sees_figures_and_nobody_behind_a_proxy(
    tmp_path: Path, header: str
) -> None:
    async with site(tmp_path, secret=None) as port:
        assert (await answer(port, asking()))[0] == 200
        assert await answer(port, asking(**{header: "203.0.113.7"})) == (401, b"")
