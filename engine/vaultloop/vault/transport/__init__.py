"""Talking to the remote: where it is, what is shown to it, what it answers."""
