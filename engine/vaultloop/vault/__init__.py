"""The vault: git, the watched folder, and notes as values.

Here belongs all that reads or writes the vault: the repository, its remote, the folder, frontmatter, loading
declarations, views and publishing. Here does not belong what a declaration means at run time; who judges by
that comes as a port (`verdict.Admission`).

All git work is plain synchronous code over one repository handle and runs in one thread (`sync.Sync.git`);
the network has a thread and a handle of its own.
"""
