"""Turns: from a message or a slot to an answer, a commit and an outcome.

Here belongs the order of things between a durable inbox and a durable outbox: queues, limits, leases, runs,
publishing, proposals, and what happens to each after a crash. Here does not belong who may speak (the guard
says so), how an agent is driven (`runners`) or held in (`sandbox`), what may be spent (the purse), which
changes of what governs the agent need nobody's consent (the admission), nor how a commit comes onto the
branch (`vault`). All of these are given to it, in `services`.
"""
