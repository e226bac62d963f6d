"""Values and protocols that every part of the engine shares: no input, no output, no state.

Here belongs what crosses a border between packages: a resource, a plan, a policy, a message, and the ports
(protocols) through which a component reaches the vault, the sessions and the cells without importing them.
Here does not belong anything that reads a file, opens a socket or waits.
"""
