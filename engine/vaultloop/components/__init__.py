"""One folder for each thing that is declared in notes and kept so.

A folder holds `kind.py` (what a note may say), `component.py` (what makes it so), one example note for each
kind, which is at once documentation, a note of the vault template and input of the contract tests, and one
guide for each (`guide.md`, what is worth knowing when one works with it), which becomes a part of its page in
`docs/kinds/`. A new thing is one folder and one line below. Components know values, ports and stores; never
one another.
"""

from typing import Any

from vaultloop.components.bridge import kind as bridge
from vaultloop.components.cron import kind as cron
from vaultloop.components.defaults import kind as defaults
from vaultloop.components.deploy import kind as deploy
from vaultloop.components.mcp import kind as mcp
from vaultloop.components.memory import kind as memory
from vaultloop.components.rule import kind as rule
from vaultloop.components.scope import kind as scope
from vaultloop.model.resource import Kind

KINDS: tuple[Kind[Any], ...] = (
    defaults.KIND,
    scope.KIND,
    rule.KIND,
    memory.KIND,
    mcp.KIND,
    cron.KIND,
    cron.REMINDER,
    cron.CRONTAB,
    bridge.KIND,
    deploy.KIND,
)
