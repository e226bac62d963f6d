"""Joining what two writers made of one vault, so that neither loses a line and nobody sees a conflict marker.

One merge serves everybody: the engine joins branches with it, git calls it as a merge driver on a laptop, and
both must come to the same bytes, whoever merges and in whichever order. `note` joins two versions of one
note; `tree` joins two lines of work, path by path, renames included; `audit` proves of each result that every
line of either side is still somewhere, or that a named rule says why not. Nothing here moves a branch.
"""
