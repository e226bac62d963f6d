"""The gateway process: the only address that a cell can reach.

It holds the secrets that sessions make use of, and does for each session what its grant names: requests to
the model's API, metered and within budgets, and tunnels to listed hosts. `server` is the body of the process
and says how the engine talks to it; `face` is what a session meets at its door. What a vendor's API looks
like and costs is data beside the code (`upstreams.toml`, `prices.toml`).

The engine imports `client` from here with the values that it needs (`keys`, `secrets`, `terms`, `hosts`), and
with it neither an HTTP client nor a server. Money is refused before it is spent (`budgets`) and booked before
it can be (`booking`): the ledger is `state.ledger`. Here does not belong who may do what: a policy says so,
and comes as `terms`.
"""
