"""The probe, in real processes of an unprivileged user, also where layers are taken away."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support import container_profile
from support.unprivileged import drive, place
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.model.status import Confinement
from vaultloop.sandbox import landlock, seccomp
from vaultloop.sandbox.bpf import ALLOW, NUMBER, Label, Program, refuse
from vaultloop.sandbox.kernel import no_new_privileges
from vaultloop.sandbox.probe import CAP, LAYERS, Finding, Layer, Probe, probe
from vaultloop.sandbox.syscalls import X86_64, this_machine

ON_A_CURRENT_KERNEL = pytest.mark.skipif(landlock.abi() < 6, reason="needs Landlock of ABI 6 or newer")
ON_X86_64 = pytest.mark.skipif(this_machine() is not X86_64, reason="filters of x86_64")


def told(found: Probe) -> dict[str, Any]:
    """A probe as JSON can say it."""
    return {
        "abi": found.abi,
        "missing": {each.layer.value: each.why for each in found.findings if not each.found},
        "layers": [each.layer.value for each in found.findings],
    }


def capped(cap: str | None, folder: str) -> dict[str, Any]:
    os.environ["TMPDIR"] = folder
    found = told(probe({CAP: cap} if cap is not None else {}))
    return found | {"left": os.listdir(folder)}  # noqa: PTH208 - names are wanted


def with_cap(cap: str | None) -> dict[str, Any]:
    with place() as folder:
        return dict(drive(capped, cap, str(folder)))


def required(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: why for name, why in found["missing"].items() if LAYERS[Layer(name)].required}


@ON_A_CURRENT_KERNEL
def test_every_layer_that_sessions_need_is_found_on_a_current_kernel() -> None:
    found = with_cap(None)
    assert required(found) == {}
    assert found["abi"] >= 6
    assert found["layers"] == [layer.value for layer in Layer]


@ON_A_CURRENT_KERNEL
def test_trying_leaves_nothing_behind() -> None:
    assert with_cap(None)["left"] == []


@ON_A_CURRENT_KERNEL
@pytest.mark.parametrize("cap", [2, 3, 4, 6])
def test_from_the_second_abi_on_nothing_is_missing(cap: int) -> None:
    found = with_cap(str(cap))
    assert (found["abi"], required(found)) == (cap, {})


@ON_A_CURRENT_KERNEL
def test_the_first_abi_moves_nothing_between_folders() -> None:
    found = with_cap("1")
    assert (found["abi"], required(found)) == (1, {"moves": "EXDEV"})


@pytest.mark.parametrize("cap", ["0", "none", "-1"])
def test_a_cap_of_nothing_or_nonsense_takes_landlock_away(cap: str) -> None:
    found = with_cap(cap)
    assert found["abi"] == 0
    assert required(found).keys() == {"files", "moves"}


@ON_A_CURRENT_KERNEL
def test_a_cap_can_only_take_away() -> None:
    assert with_cap("99")["abi"] == with_cap(None)["abi"]


def under_the_container_profile() -> dict[str, Any]:
    container_profile.install()
    return told(probe({}))


@ON_X86_64
@ON_A_CURRENT_KERNEL
def test_in_an_ordinary_container_nothing_is_missing() -> None:
    assert required(drive(under_the_container_profile)) == {}


def without_calls(*names: str) -> dict[str, Any]:
    """Where some system calls are refused, as an older container refuses them."""
    machine = this_machine()
    assert machine is not None
    made, no, yes = Program(), Label(), Label()
    made.load(NUMBER)
    for name in names:
        made.if_equal(machine.numbers[name], no)
    made.if_greater(0xFFFFFFFE, no, yes)
    made.put(no)
    made.answer(refuse(errno.EPERM))
    made.put(yes)
    made.answer(ALLOW)
    no_new_privileges()
    seccomp.load(machine, made.assembled(), 0)
    return told(probe({}))


@ON_A_CURRENT_KERNEL
@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("landlock_create_ruleset",), {"files": "EPERM", "moves": "EPERM"}),
        (("seccomp",), {"calls": "EPERM", "guard": "EPERM"}),
        (("prlimit64",), {"limits": "EPERM"}),
    ],
    ids=["landlock", "seccomp", "limits"],
)
def test_a_layer_that_a_container_hides_is_missing_with_its_errno(
    names: tuple[str, ...], missing: Mapping[str, str]
) -> None:
    assert required(drive(without_calls, *names)) == missing


def found_but(*missing: Layer) -> Probe:
    """What a probe would tell where these are missing."""
    findings = (Finding(layer, errno.ENOSYS if layer in missing else 0, "") for layer in Layer)
    return Probe(tuple(findings), abi=0 if Layer.FILES in missing else 6)


@pytest.mark.parametrize("audience", Audience)
def test_a_machine_with_all_layers_fences_every_class(audience: Audience) -> None:
    assert found_but().confinement(audience, ()) is Confinement.FENCED
    assert found_but(Layer.GROUPS, Layer.USER).confinement(audience, ()) is Confinement.FENCED


@pytest.mark.parametrize("layer", [layer for layer in Layer if LAYERS[layer].required])
@pytest.mark.parametrize("audience", Audience)
def test_a_missing_layer_refuses_every_class_and_says_how_to_get_it(audience: Audience, layer: Layer) -> None:
    with pytest.raises(Stalled) as raised:
        found_but(layer).confinement(audience, ())
    said = str(raised.value)
    assert f"{LAYERS[layer].title} (ENOSYS)" in said
    assert LAYERS[layer].remedy in said
    assert f"class {audience} are refused" in said


@pytest.mark.parametrize("audience", [Audience.OWNER, Audience.CRON])
def test_the_operator_may_let_the_owner_and_crons_run_with_less(audience: Audience) -> None:
    lacking = found_but(Layer.FILES)
    assert lacking.confinement(audience, [audience]) is Confinement.DEGRADED
    with pytest.raises(Stalled, match="degraded"):
        lacking.confinement(audience, [])


@pytest.mark.parametrize("audience", [Audience.GROUP, Audience.PUBLIC])
def test_nobody_can_let_others_run_with_less(audience: Audience) -> None:
    with pytest.raises(Stalled) as raised:
        found_but(Layer.GUARD).confinement(audience, list(Audience))
    assert "degraded" not in str(raised.value)


def nowhere(folder: str) -> str:
    Path(folder).chmod(0o500)
    os.environ["TMPDIR"] = f"{folder}/missing"
    os.chdir(folder)
    import tempfile  # noqa: PLC0415 - it remembers the folder that it found first

    tempfile.tempdir = f"{folder}/missing"
    try:
        probe({})
    except Stalled as error:
        return str(error)
    return "tried"


def test_where_nothing_can_be_tried_nothing_is_taken_for_found() -> None:
    with place() as folder:
        assert "cannot be tried out here" in drive(nowhere, str(folder))


def test_what_brings_landlock_and_its_moves_is_said_once() -> None:
    lacking = (Layer.FILES, Layer.MOVES)
    found = Probe(tuple(Finding(layer, errno.ENOSYS * (layer in lacking), "") for layer in Layer), 0)
    with pytest.raises(Stalled) as refused:
        found.confinement(Audience.GROUP, ())
    assert refused.value.cure == LAYERS[Layer.FILES].remedy
