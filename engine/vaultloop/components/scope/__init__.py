"""Who may speak in which chat, and what a session for them may do.

A scope note becomes a policy here, and the policy is all that the fences know. Here belongs who is admitted
and what changes when a scope does. Here does not belong how a fence holds.
"""
