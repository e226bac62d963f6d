"""The vault: git, the watched folder, and notes as values.

Here belongs all that reads or writes the vault, in rooms: `git` (objects and references), `transport` (the
remote), `notes` (what they say), `merge` (two writers), `folder` (the watched one), `views` (what sessions
work in), `sync` (all of them brought together), `lease` (which engine acts), `trail` (looking back). Here
does not belong what a declaration means at run time; who judges by that comes as a port (`views.verdict`).

All git work is plain synchronous code over one repository handle and runs in one thread (`sync.Sync.git`);
the network has a thread and a handle of its own.
"""
