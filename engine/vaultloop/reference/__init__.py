"""The frontmatter reference in `docs/kinds/`: one page for each kind, and an index.

Here belongs how a page is laid out and what of it can be read off a kind: fields, types in the words of the
vault's owner, conditions, real mistakes. Here does not belong anything about a certain kind: that stands in
its own folder, in the docstrings of `kind.py`, in `example.md` and in `guide.md` (or `<kind>.guide.md`).

Needed in the repository only: the mistakes are those of `tests/vaults/`. An engine never imports this.
"""
