"""Agents: how each kind of program is asked, and how its answer is understood.

Here belongs what differs between agent programs: their flags, the shape of their output, their ways to be
interrupted. Here does not belong what a session may do (that is the cell's) nor what becomes of its work.
"""
