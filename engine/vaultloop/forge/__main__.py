"""`python -m vaultloop.forge`: send the one request that is written on standard input, and say how it ended.

The process lives as long as the request. It follows no redirect, which could lead the token elsewhere, and
takes the way that the proxy variables of the environment name.
"""

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from vaultloop import __version__
from vaultloop.aio.privacy import close_to_others

# Seconds until a forge that does not answer is given up.
PATIENCE = 20.0

LONGEST_LINE = 64 * 1024


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def main() -> None:
    # Before there is a token in this process.
    close_to_others()
    told = json.loads(sys.stdin.buffer.readline(LONGEST_LINE))
    json.dump(_sent(told), sys.stdout)


def _sent(told: dict[str, Any]) -> dict[str, Any]:
    """The status, or why there is none; nothing that the forge wrote, which is not ours to repeat."""
    opener = urllib.request.build_opener(_NoRedirect())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"vaultloop/{__version__}",
        **told["headers"],
    }
    request = urllib.request.Request(  # noqa: S310 - an address of http or https, see `ForgeRepository`
        told["url"], data=json.dumps(told["body"]).encode(), headers=headers, method="POST"
    )
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return {"status": answer.status}
    except urllib.error.HTTPError as error:
        with error:
            return {"status": error.code}
    except (OSError, ValueError) as error:
        return {"status": None, "reason": _reason(error)}


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or type(cause).__name__


if __name__ == "__main__":
    main()
