"""Making what runs equal to what the vault declares: plan, check, apply, record.

Here belongs the order of things: what is desired at a revision, what must change, what is held back, what is
tried again. Here does not belong what any kind means at run time (its component knows) or how the vault is
read (the vault knows).
"""
