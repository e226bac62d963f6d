"""How a program in a cell learns of the way to hosts outside: the variables that programs commonly heed."""

from vaultloop.model.cell import Cell
from vaultloop.model.gateway import USER


def variables(cell: Cell) -> dict[str, str]:
    """For its environment; nothing where its scope names no hosts, as then there is no way."""
    if cell.door is None or not cell.policy.hosts:
        return {}
    way, here = f"http://{USER}:{cell.door.token}@{cell.door.host}:{cell.door.port}", "127.0.0.1,localhost"
    # Both spellings: wget and git heed only the small one. Only TLS goes through, so nothing for plain HTTP.
    # Programs of Node heed neither unless they are told to.
    return {
        "HTTPS_PROXY": way,
        "https_proxy": way,
        "NO_PROXY": here,
        "no_proxy": here,
        "NODE_USE_ENV_PROXY": "1",
    }
