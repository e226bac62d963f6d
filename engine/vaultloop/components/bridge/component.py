"""Messengers at run time: a `bridge` note turns the channel of its platform on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from vaultloop.components.bridge.kind import BridgeSpec
from vaultloop.model.change import Change
from vaultloop.model.component import Switch
from vaultloop.model.errors import Stalled
from vaultloop.model.resource import Ref, Resource


class BridgeComponent:
    """Runs `bridge` notes: one channel per platform, owned by one note."""

    def __init__(self, channels: Sequence[Switch]) -> None:
        """Turn `channels` on and off, by the platforms they carry."""
        self._channels = {channel.platform: channel for channel in channels}
        self._bridges: dict[Ref, Resource[BridgeSpec]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for resource in list(self._bridges.values()):
            self._end(resource)

    def inputs(self, spec: BridgeSpec) -> Iterable[str]:
        """A messenger needs nothing of the vault but its note."""
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[BridgeSpec]]:
        """The bridges whose channel is on, and those that are paused."""
        return {
            ref: resource
            for ref, resource in self._bridges.items()
            if resource.spec.paused or self._channels[resource.spec.platform].is_on
        }

    async def apply(self, change: Change[BridgeSpec]) -> None:
        """Turn the note's channel on or off.

        Raises:
            Stalled: nothing here carries the platform, or another note does already.
        """
        if change.new is not None and not change.new.spec.paused:
            self._check(change.new, change.old)
        if change.old is not None and change.old.ref in self._bridges:
            self._end(self._bridges[change.old.ref])
        if change.new is not None:
            self._bridges[change.new.ref] = change.new
            if not change.new.spec.paused:
                self._channels[change.new.spec.platform].turn_on(change.new.spec.coalesce)

    def _check(self, new: Resource[BridgeSpec], old: Resource[BridgeSpec] | None) -> None:
        platform = new.spec.platform
        if platform not in self._channels:
            raise Stalled(
                f"No component carries {platform} yet.",
                cure=f"Set `paused: true` in {new.source.path}, or `platform: console`.",
            )
        others = (r for r in self._bridges.values() if old is None or r.ref != old.ref)
        for other in others:
            if other.ref != new.ref and other.spec.platform == platform and not other.spec.paused:
                raise Stalled(
                    f"{other.source.path} is the bridge to {platform} already.",
                    cure="Remove one of the two notes, or pause it.",
                    holder=other.ref,
                )

    def _end(self, resource: Resource[BridgeSpec]) -> None:
        del self._bridges[resource.ref]
        if not resource.spec.paused:
            self._channels[resource.spec.platform].turn_off()
