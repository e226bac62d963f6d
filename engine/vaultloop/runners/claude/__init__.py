"""The Claude Code CLI as an agent.

Here belongs all that is peculiar to this one program: its flags, the lines it speaks, its transcripts, its
versions. `runner` is the face that sessions know.
"""
