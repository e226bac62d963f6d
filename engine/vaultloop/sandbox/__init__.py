"""Cells: what holds a session's process in.

Here belongs how a program is started so that it reaches only what its policy grants, and the probing of what
this machine can enforce. Here does not belong what the program is or what it is asked: that is `runners`.
"""
