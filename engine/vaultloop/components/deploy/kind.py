"""The kind `deploy`."""

from datetime import timedelta
from typing import Literal

from vaultloop.model.fields import Duration, Globs, Text
from vaultloop.model.resource import Kind, Spec, Stage


class DeploySpec(Spec):
    """What to redeploy when notes change."""

    provider: Literal["coolify"]
    """Who runs the application."""
    url: Text
    """The address of the provider."""
    application: Text
    """The application, by the id that the provider gives it."""
    watch: Globs
    """Paths whose change sets off a deployment; a folder means all below it."""
    cooldown: Duration = timedelta(minutes=5)
    """At most one deployment in this time."""
    stop_after: Duration = timedelta(minutes=15)
    """How long a deployment may take."""
    on_failure: Literal["notify", "revert"] = "notify"
    """What to do if it fails: tell you, or also go back."""


KIND = Kind("deploy", DeploySpec, Stage.TRIGGER, folder="deploys", has_component=False)
