"""A process that answers one message and pushes what came of it: crash tests kill it and start it again."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from support.desk import OWNER, Desk, Scopes, settled
from support.run import PATIENCE
from vaultloop.admission import SelfEdit
from vaultloop.aio.clock import SystemClock
from vaultloop.model.conversation import Reply

KEY = "console/owner/1"


class Wall:
    """A channel that shows replies as files, where they outlive the process."""

    platform = "console"
    coalesce = 0.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, reply: Reply) -> bool:
        name = reply.key.replace("/", "_")
        (self._folder / f"{name}.new").write_text(reply.text)
        (self._folder / f"{name}.new").rename(self._folder / name)
        return True


async def main(folder: Path, text: str = "note: buy milk", self_edit: str = "deny") -> None:
    wall = Wall(folder / "wall")
    desk = Desk(folder, clock=SystemClock(), channels={"console": wall}, admission=SelfEdit(()))
    desk.guard = Scopes(replace(OWNER, self_edit=self_edit))
    async with asyncio.timeout(PATIENCE), desk.open() as engine:
        # The channel hands a message over until it is acknowledged: perhaps for the second time.
        await engine.say(text)
        await engine.answered(KEY)
        await engine.pushed()
        await settled(lambda: not engine.database.rows("SELECT * FROM outbox WHERE delivered_at IS NULL"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
