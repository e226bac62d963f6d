"""What a note may name only where the note that it refers to names it too, such as the mounts of a cron."""

from collections.abc import Iterator, Mapping

from vaultloop.model.finding import Finding
from vaultloop.model.resource import AnyResource, Ref, Reference, Spec, Within
from vaultloop.vault.notes.keys import near_miss


def beyond(spec: Spec, resources: Mapping[Ref, AnyResource]) -> Iterator[Finding]:
    """The names in `spec` that its counterpart among `resources` does not have."""
    for field, info in type(spec).model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Within) and (above := _counterpart(spec, mark, resources)) is not None:
                yield from _beyond(spec, field, mark.code, above)


def _counterpart(spec: Spec, mark: Within, resources: Mapping[Ref, AnyResource]) -> AnyResource | None:
    """The valid resource that the note refers to; without one, that alone is its problem."""
    named = getattr(spec, mark.reference)
    metadata = type(spec).model_fields[mark.reference].metadata
    kinds = (reference.kind for reference in metadata if isinstance(reference, Reference))
    return next((resources.get(Ref(kind, named)) for kind in kinds), None) if named else None


def _beyond(spec: Spec, field: str, code: str, above: AnyResource) -> Iterator[Finding]:
    key = type(spec).model_fields[field].alias or field
    known = tuple(getattr(above.spec, field))
    where = f"the {above.ref.kind} `{above.ref.name}`"
    for item, name in enumerate(getattr(spec, field)):
        if name not in known:
            message = f"`{name}` is not among the `{key}` of {where}, so no run can start."
            line = f"{key}: [{', '.join((*known, name))}]" if known else f"{key}: {name}"
            cure = f"In `{above.source.path}` write `{line}`, or take it out here."
            yield Finding(key, code, message, cure, near_miss(name, known), item=item)
