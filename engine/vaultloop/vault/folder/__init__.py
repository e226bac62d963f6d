"""The watched folder: what humans edit in it, and what is written into it."""
