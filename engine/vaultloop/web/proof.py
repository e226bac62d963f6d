"""What shows that a webhook comes from somebody who knows the secret: one scheme for each kind of forge.

| header | who sends it | what it is |
|---|---|---|
| `X-Hub-Signature-256` | GitHub, Gitea, Forgejo | `sha256=` and the HMAC of the body, in hex |
| `X-Gitea-Signature`, `X-Forgejo-Signature` | Gitea, Forgejo | the HMAC of the body, in hex |
| `webhook-signature` | GitLab with a signing token | `v1,` and the HMAC of id, time and body, in base64 |
| `X-Gitlab-Token` | GitLab with a secret token | the secret itself |

Any of them is enough. The time in a signed one is not looked at: who sends a webhook again only makes us look
again, and a clock that is wrong should not make us deaf.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping

Headers = Mapping[str, str]

# The names, in lower case, as servers hand them over.
TOKEN = "x-gitlab-token"  # noqa: S105 - a header's name
SIGNED = "webhook-signature"
ID, TIME = "webhook-id", "webhook-timestamp"
HUB = "x-hub-signature-256"
IN_HEX = ("x-gitea-signature", "x-forgejo-signature")

# How GitLab (https://www.standardwebhooks.com) writes a signing token, and the one version of signatures.
_TOKEN_PREFIX = "whsec_"  # noqa: S105 - what such tokens begin with
_VERSION = "v1,"

# A sender that changes its secret signs with the old and the new one; more is not meant well.
_MOST_SIGNATURES = 4


class Claim:
    """What the headers of one request claim; fed with the body, it holds or it does not."""

    def __init__(self, secret: str, headers: Headers) -> None:
        self._token = headers.get(TOKEN)
        self._secret = secret.encode()
        self._hex = [value.lower() for value in _hex_signatures(headers)]
        self._base64 = [
            word.removeprefix(_VERSION)
            for word in headers.get(SIGNED, "").split()[:_MOST_SIGNATURES]
            if word.startswith(_VERSION)
        ]
        self._of_body = hmac.new(self._secret, digestmod=hashlib.sha256)
        self._of_all = hmac.new(_signing_key(secret), _preamble(headers), hashlib.sha256)
        self._feeds: list[Callable[[bytes], None]] = []
        if self._hex:
            self._feeds.append(self._of_body.update)
        if self._base64:
            self._feeds.append(self._of_all.update)

    @property
    def is_made(self) -> bool:
        """Whether there is anything to look at; without it the body need not be read."""
        return bool(self._feeds) or self._token is not None

    def feed(self, chunk: bytes) -> None:
        """Take in the next part of the body; nothing of it is kept."""
        for feed in self._feeds:
            feed(chunk)

    def holds(self) -> bool:
        """Whether, by all of the body, the sender knows the secret; every wrong one takes equally long."""
        body, everything = self._of_body.hexdigest(), base64.b64encode(self._of_all.digest())
        return any(
            [
                *(hmac.compare_digest(body.encode(), claimed.encode()) for claimed in self._hex),
                *(hmac.compare_digest(everything, claimed.encode()) for claimed in self._base64),
                self._token is not None and hmac.compare_digest(self._secret, self._token.encode()),
            ]
        )


def _hex_signatures(headers: Headers) -> Iterator[str]:
    scheme, _, value = headers.get(HUB, "").partition("=")
    if scheme == "sha256" and value:
        yield value
    for name in IN_HEX:
        if value := headers.get(name, ""):
            yield value


def _preamble(headers: Headers) -> bytes:
    return f"{headers.get(ID, '')}.{headers.get(TIME, '')}.".encode()


def _signing_key(secret: str) -> bytes:
    """A signing token stands for the bytes that are written in it; any other secret for itself."""
    if secret.startswith(_TOKEN_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_TOKEN_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
