"""Small notes for vaults in tests."""


def note(kind: str, body: str = "", **fields: object) -> str:
    """A declaration; `_` in a key stands for `-`, a value is written as YAML writes it."""
    lines = [f"{key.replace('_', '-')}: {value}" for key, value in fields.items()]
    return "\n".join(["---", f"kind: {kind}", *lines, "---", body, ""])


def cron(
    body: str = "Gather what is open.", schedule: str = "0 7 * * *", scope: str = "owner", **fields: object
) -> str:
    return note("cron", body, schedule=f'"{schedule}"', scope=f'"[[{scope}]]"', **fields)


def scope(chat: str = "-1001234567890", people: str = "1001", **fields: object) -> str:
    return note("scope", "", chats=f'"{chat}"', people=f'"{people}"', **fields)


OWNER = note("scope", "Be brief.", chats="owner", can_read='"**"', can_write='"**"')
