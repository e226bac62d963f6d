"""What the web process answers: health to anybody, figures to who may see them, webhooks to who proves one.

Nothing else is there. Without a secret `/hooks/git` is not there either.
"""

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vaultloop.web import metrics, webhook
from vaultloop.web.doorbell import Doorbell
from vaultloop.web.health import Health, Pulse, figures
from vaultloop.web.webhook import Outcome, Webhook

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
UNAVAILABLE = 503
UNAUTHORIZED = 401

# What proxies add: behind one, everybody seems to come from this machine.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def site(pulse: Pulse, engine: Path, secret: str | None = None) -> Starlette:
    """The application.

    Args:
        engine: the engine's socket.
        secret: what webhooks are signed with.
    """
    hook = Webhook(secret, Doorbell(engine)) if secret else None

    async def healthz(_: Request) -> Response:
        health = await pulse.health()
        return JSONResponse(public(health), 200 if health.is_ok else UNAVAILABLE, HEADERS)

    async def figures_page(request: Request) -> Response:
        if not _may_see_figures(request, secret):
            return Response(status_code=UNAUTHORIZED, headers=HEADERS)
        counted = metrics.total(hook.counts, Outcome) if hook else {}
        page = metrics.text(await figures(engine), counted)
        return PlainTextResponse(page, headers=HEADERS, media_type=metrics.CONTENT_TYPE)

    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/metrics", figures_page, methods=["GET"]),
    ]
    if hook is not None:
        routes.append(Route(webhook.PATH, hook.answer, methods=["POST"]))
    application = Starlette(routes=routes)
    # A redirect would repeat to strangers what they sent as the host's name.
    application.router.redirect_slashes = False
    return application


def public(health: Health) -> dict[str, object]:
    """What strangers may know: whether it runs, which revision it has applied, whether a push is owed."""
    if health.status != "ok":
        return {"status": health.status, "reason": health.reason}
    return {
        "status": health.status,
        **{key: health.detail.get(key) for key in ("revision", "applied", "push")},
    }


def _may_see_figures(request: Request, secret: str | None) -> bool:
    """Who brings the secret; where there is none, who asks from this very machine, past no proxy."""
    if secret is not None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), secret.encode())
    return _is_here(request) and not _is_forwarded(request.headers)


def _is_here(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _is_forwarded(headers: Mapping[str, str]) -> bool:
    return any(name in headers for name in _FORWARDED)
