"""Vaultloop: one markdown vault in git declares a whole always-on agent, and this program keeps it so.

Read `app.py` first: it is where the parts are put together. `docs/architecture.md` follows one edited
note and one message through them.
"""

__version__ = "0.1.0"
