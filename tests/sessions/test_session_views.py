"""How sessions lease their views and give them back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.desk import OWNER, Desk
from support.run import asynchronous
from vaultloop.model.status import Confinement


@pytest.mark.parametrize(
    ("confinement", "known"), [(Confinement.FENCED, True), (Confinement.DEGRADED, False)]
)
@asynchronous
async def test_only_the_view_of_a_fenced_session_comes_back_as_one_that_is_known(
    tmp_path: Path, confinement: Confinement, *, known: bool
) -> None:
    desk = Desk.at(tmp_path)
    desk.confinement = lambda _: confinement
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("hello")
        run = await runner.spawned.get()
        run.write("Inbox.md", "- milk")
        run.ends()
        await engine.answered("console/owner/1")
    [standing] = (desk.state / "pool").glob("*/*/standing.json")
    assert json.loads(standing.read_text())["left"] == ([["Inbox.md"], []] if known else None)


@asynchronous
async def test_a_prompt_fetches_the_attachments_that_it_names(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path, {"Garden.md": "x", "img/peas.png": "peas", "img/beans.png": "beans"})
    desk.guard.policies = [replace(OWNER, attachments="on-demand")]
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("What is on ![[peas.png]]?")
        run = await runner.spawned.get()
        assert [path.name for path in (run.cell.view / "img").iterdir()] == ["peas.png"]
        run.ends()
        record = await engine.answered("console/owner/1")
    assert record.commit is None
    assert desk.pushed() == []
