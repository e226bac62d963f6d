"""Schedules: when a job is due, what was missed, and the turn that each slot becomes."""
