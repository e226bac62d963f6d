"""Who may speak in which chat, and what a session for them may do.

A scope note becomes a policy here, and the policy is all that the fences know. Here belongs who is admitted,
what changes for people when a scope does (`permissions`), and that a scope waits whose class of sessions
cannot be held in. Here does not belong how a fence holds.
"""
