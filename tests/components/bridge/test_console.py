"""The console channel."""

from support.run import asynchronous
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.model.conversation import Reply

HELLO = Reply(key="k1", channel="console", chat="owner", text="hello")


@asynchronous
async def test_a_reply_waits_while_no_terminal_listens_to_its_chat() -> None:
    console = ConsoleChannel()
    assert not await console.deliver(HELLO)


@asynchronous
async def test_a_reply_reaches_every_terminal_of_its_chat_and_no_other() -> None:
    console = ConsoleChannel()
    seen: list[str] = []

    def terminal(name: str) -> "Terminal":
        return Terminal(name, seen)

    with (
        console.listening("owner", terminal("a")),
        console.listening("owner", terminal("b")),
        console.listening("42", terminal("other")),
    ):
        assert await console.deliver(HELLO)
    assert seen == ["a: hello", "b: hello"]
    assert not await console.deliver(HELLO)


@asynchronous
async def test_a_terminal_that_went_away_does_not_keep_the_reply_from_the_others() -> None:
    console = ConsoleChannel()
    seen: list[str] = []

    async def gone(_: Reply) -> None:
        raise ConnectionError

    with console.listening("owner", gone):
        assert not await console.deliver(HELLO)
        with console.listening("owner", Terminal("b", seen)):
            assert await console.deliver(HELLO)
    assert seen == ["b: hello"]


class Terminal:
    """Writes down what it is shown."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen

    async def __call__(self, reply: Reply) -> None:
        self._seen.append(f"{self._name}: {reply.text}")
