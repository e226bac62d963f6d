"""The table of figures: `make bench`.

Every figure is a count, or a ratio against a public tool measured in the same run, pair by pair: these
machines are noisy, ratios are not. A row says what it measured, against what, and what is allowed.
"""
