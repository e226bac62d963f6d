"""What the web process answers: health, to GET and HEAD, and nothing else."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vaultloop.web.health import Health, Pulse

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
UNAVAILABLE = 503


def site(pulse: Pulse) -> Starlette:
    """The application."""

    async def healthz(_: Request) -> Response:
        health = await pulse.health()
        return JSONResponse(public(health), 200 if health.is_ok else UNAVAILABLE, HEADERS)

    application = Starlette(routes=[Route("/healthz", healthz, methods=["GET"])])
    # A redirect would repeat to strangers what they sent as the host's name.
    application.router.redirect_slashes = False
    return application


def public(health: Health) -> dict[str, object]:
    """What strangers may know: whether it runs, which revision it has applied, whether a push is owed."""
    if not health.is_ok:
        return {"status": health.status, "reason": health.reason}
    return {
        "status": health.status,
        **{key: health.detail.get(key) for key in ("revision", "applied", "push")},
    }
