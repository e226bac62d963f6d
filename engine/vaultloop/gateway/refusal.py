"""What the gateway says instead of an answer, in the shape of the vendor's errors."""

import json


class Refusal(Exception):
    """A request is not forwarded; the text is shown to the agent, and to people through it.

    Attributes:
        status: of HTTP.
        kind: the vendor's word for it.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    @property
    def body(self) -> bytes:
        """As the vendor writes errors."""
        return json.dumps({"type": "error", "error": {"type": self.kind, "message": str(self)}}).encode()


def malformed(message: str) -> Refusal:
    """What is not well-formed HTTP or JSON."""
    return Refusal(400, "invalid_request_error", message)


def forbidden(message: str) -> Refusal:
    """What this scope is not granted, or nobody is."""
    return Refusal(403, "permission_error", message)
