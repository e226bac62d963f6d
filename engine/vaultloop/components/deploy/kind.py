"""The kind `deploy`."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from pydantic import Field

from vaultloop.model.fields import Duration, Globs, Text, Timeout
from vaultloop.model.finding import Finding
from vaultloop.model.outside import Url
from vaultloop.model.resource import Kind, Spec, Stage


class DeploySpec(Spec):
    """What to redeploy when notes change."""

    provider: Literal["coolify"]
    """Who runs the application."""
    url: Url
    """The address of the provider."""
    application: Text = Field(examples=["w8k0s4"])
    """The application, by the id that the provider gives it."""
    watch: Globs = Field(examples=["Blog"])
    """Paths whose change sets off a deployment; a folder means all below it."""
    cooldown: Duration = timedelta(minutes=5)
    """At most one deployment in this time."""
    stop_after: Timeout = timedelta(minutes=15)
    """How long a deployment may take."""
    on_failure: Literal["notify", "revert"] = "notify"
    """What to do if it fails: tell you, or also go back."""

    def findings(self) -> Iterable[Finding]:
        """An application is named by its id, and something must set it off."""
        if not re.fullmatch(r"[\w-]+", self.application):
            cure = "Write the id that stands at the end of the application's address, such as `w8k0s4`."
            write = self.application.rstrip("/").rpartition("/")[2]
            write_id = write if "/" in self.application and re.fullmatch(r"[\w-]+", write) else None
            message = "This is not the id of an application."
            yield Finding("application", "bad-application", message, cure, write_id)
        if not self.watch:
            message = "Nothing is watched, so nothing is ever deployed."
            yield Finding("watch", "missing-field", message, "Write the paths that matter: `watch: Blog`.")


KIND = Kind("deploy", DeploySpec, Stage.TRIGGER, folder="deploys", has_component=False)
