"""Commit statuses: the forge shows beside each commit whether it was applied.

`repository` and `api` are pure: from the remote's address and a verdict to one HTTP request. `child` sends it
from a process of its own that lives as long as the request does, for the engine loads no HTTP client; the
token goes to it on standard input. `statuses` decides what is sent, and sends nothing twice. Nothing here
ever holds up the vault: a forge that does not answer is a line in the log.
"""
