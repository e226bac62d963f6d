"""The web process: what the network may ask of the engine.

It runs apart from the engine because it faces strangers: it holds no secret but the one that webhooks are
signed with, knows the engine only through its socket, and may die without anybody but its visitors noticing.
`child` says how the engine starts it; nothing that the engine imports from here loads a web server.
"""
