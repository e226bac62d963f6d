"""asyncio that knows nothing of vaults: bells, clocks, tasks, child processes, remote calls.

Here belongs what another daemon could use unchanged. Here does not belong anything that knows a note,
a scope or a session, or that needs a library beyond the standard one.
"""
