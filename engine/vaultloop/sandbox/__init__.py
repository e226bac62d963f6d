"""Cells: what holds a session's process in.

Here belongs how a program is started so that it reaches only what its policy grants, and the probing of what
this machine can enforce. Here does not belong what the program is or what it is asked: that is `runners`.

Two halves that share one value, `request`. In the engine: `probe`, `launcher` (from a policy to a request),
`fenced` (a program as the engine holds it). In small forked processes, with the standard library alone:
`zygote`, `supervisor`, `entry`, the guards, and the layers (`landlock`, `seccomp`, `limits`). `direct` starts
programs where this machine has no layer at all and the operator allows that.
"""
