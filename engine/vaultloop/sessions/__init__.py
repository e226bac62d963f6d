"""Turns: from a message or a slot to an answer, a commit and an outcome.

Here belongs the order of things between a durable inbox and a durable outbox: queues, limits, leases, runs,
publishing, and what happens to each after a crash. Here does not belong who may speak (the guard says so),
how an agent is driven (`runners`), nor how a commit comes onto the branch (`vault`).
"""
