"""Secrets of the operator: bound by the settings, named by notes, and said by nobody."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from vaultloop.gateway.secrets import LONGEST, Secret, Secrets, is_body
from vaultloop.model.errors import Stalled
from vaultloop.settings import SecretBinding

VALUE = "ghp_never-to-be-seen"
GITHUB = SecretBinding(hosts=("api.github.com", "*.example.org"), commands=("github-mcp",))


def secrets(
    bindings: Mapping[str, SecretBinding] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Secrets:
    """Secrets of which GITHUB is bound and has a value, if nothing else is said."""
    given = {"GITHUB": VALUE} if environment is None else environment
    return Secrets.read({"GITHUB": GITHUB} if bindings is None else bindings, given, folder)


@pytest.mark.parametrize("host", ["api.github.com", "API.GitHub.com", "a.example.org", "b.a.example.org"])
def test_a_secret_goes_to_the_hosts_of_its_binding(host: str) -> None:
    assert secrets().value_for_host("GITHUB", host) == VALUE


@pytest.mark.parametrize("host", ["evil.com", "github.com", "api.github.com.evil.com", "example.org", ""])
def test_it_goes_to_no_other_host_and_the_line_for_the_settings_is_said(host: str) -> None:
    with pytest.raises(Stalled, match=rf'write in vaultloop.toml: \[secrets.GITHUB\] hosts = \["{host}"\]'):
        secrets().value_for_host("GITHUB", host)


def test_it_is_given_to_the_programs_of_its_binding_and_to_no_other() -> None:
    assert secrets().value_for_command("GITHUB", "github-mcp") == VALUE
    for program in ("other", "github-mcp --dump", "/tmp/github-mcp", ""):
        with pytest.raises(Stalled, match=r"may not be given to .*\[secrets.GITHUB\] commands = "):
            secrets().value_for_command("GITHUB", program)


def test_a_binding_for_hosts_is_none_for_programs() -> None:
    only_hosts = secrets({"GITHUB": SecretBinding(hosts=("api.github.com",))})
    with pytest.raises(Stalled, match="may not be given"):
        only_hosts.value_for_command("GITHUB", "github-mcp")


def test_a_name_without_a_binding_does_not_exist_whatever_the_environment_holds() -> None:
    for name in ("GITHUB", "PATH"):
        with pytest.raises(Stalled, match=rf"`{name}` is not bound to anything.*\[secrets.{name}\] hosts"):
            secrets({}, {name: VALUE}).value_for_host(name, "api.github.com")


def test_a_bound_secret_without_a_value_says_where_to_put_it() -> None:
    with pytest.raises(Stalled, match=r"`GITHUB` has no value. Set the variable GITHUB .*`secrets-dir`"):
        secrets(environment={"GITHUB": ""}).value_for_host("GITHUB", "api.github.com")


@pytest.mark.parametrize(
    "name",
    [
        *("VAULTLOOP_GIT_PASSWORD", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "anthropic_api_key"),
        *("anthropic-api-key", "Vaultloop-Telegram-Session"),
    ],
)
def test_what_belongs_to_the_engine_itself_can_never_be_named(name: str) -> None:
    assert is_body(name)
    bound = secrets({name: GITHUB}, {name: VALUE})
    assert VALUE not in str(bound.to_json())
    with pytest.raises(Stalled, match="belongs to the engine itself"):
        bound.value_for_host(name, "api.github.com")
    with pytest.raises(Stalled, match="belongs to the engine itself"):
        bound.value_for_command(name, "github-mcp")


def test_a_file_comes_before_a_variable_and_is_read_again(tmp_path: Path) -> None:
    def now() -> str:
        return secrets(folder=tmp_path, environment={"GITHUB": "old"}).value_for_host(
            "GITHUB", "a.example.org"
        )

    assert now() == "old"
    (tmp_path / "GITHUB").write_text(f"{VALUE}\n")
    assert now() == VALUE
    (tmp_path / "GITHUB").write_text("rotated")
    assert now() == "rotated"


def test_a_file_that_is_no_secret_is_none(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"\xff\xfe", b"x" * (LONGEST + 1)):
        (tmp_path / "GITHUB").write_bytes(content)
        assert secrets(folder=tmp_path, environment={}).known["GITHUB"].value is None
    (tmp_path / "GITHUB").unlink()
    (tmp_path / "GITHUB").mkdir()
    assert secrets(folder=tmp_path, environment={}).known["GITHUB"].value is None


def test_a_name_that_is_a_path_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(VALUE)
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("../outside", "/etc/hostname", ".", "a b", "a" * 65):
        assert secrets({name: GITHUB}, {}, folder).known == {}
        with pytest.raises(Stalled, match="is not bound"):
            secrets({name: GITHUB}, {}, folder).value_for_host(name, "api.github.com")


def test_values_are_in_no_repr_and_no_error() -> None:
    held = secrets()
    assert VALUE not in repr(held) + str(held) + repr(Secret(VALUE))
    for host, name in (("evil.com", "GITHUB"), ("api.github.com", "OTHER")):
        with pytest.raises(Stalled) as caught:
            held.value_for_host(name, host)
        assert VALUE not in str(caught.value) + repr(caught.value)


def test_a_line_for_the_settings_holds_nothing_that_ends_it() -> None:
    with pytest.raises(Stalled) as caught:
        secrets().value_for_host("GITHUB", 'x"]\n[web]\nhost = "')
    assert "\n" not in str(caught.value)
    assert caught.value.cure.count('"') == 2


def test_what_goes_to_the_gateway_comes_out_the_same() -> None:
    assert Secrets.from_json(secrets().to_json()) == secrets()
