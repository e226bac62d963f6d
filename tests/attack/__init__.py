"""The attack suite: a hostile program in the place of the model, and an installation that it attacks.

`hostile/` runs inside the cell and knows only the standard library; everything else is on our side of the
fence. `grounds` is the installation, `profiles` the machines that it stands on, `table` what came of it all.
"""
