"""What names something outside of the vault."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from vaultloop.model.outside import Command, Host, Mount, Url


class Page(BaseModel):
    host: Host = ""
    url: Url = ""
    command: Command = ""
    mount: Mount = ""


def refused(**field: Any) -> dict[str, Any]:
    with pytest.raises(ValidationError) as caught:
        Page.model_validate(field)
    [error] = caught.value.errors()
    return {"code": error["type"], **error["ctx"]}


def read(**field: Any) -> Any:
    [value] = Page.model_validate(field).model_dump(exclude_unset=True).values()
    return value


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("api.example.org", "api.example.org"),
        (" API.Example.org. ", "api.example.org"),
        ("*.example.org", "*.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("bücher.example", "bücher.example"),
        ("s3_bucket.example.org", "s3_bucket.example.org"),
        ("1password.com", "1password.com"),
    ],
)
def test_a_host_is_a_name_and_a_star_its_whole_first_part(typed: str, host: str) -> None:
    assert read(host=typed) == host


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("https://api.example.org", '"api.example.org"'),
        ("https://me:pw@api.example.org:8443/v1?x#y", '"api.example.org"'),
        ("api.example.org:443", '"api.example.org"'),
        ("api.example.org/", '"api.example.org"'),
        ("http://*.example.org", '"*.example.org"'),
        ("api*.example.org", '"*.example.org"'),
        ("*.*.example.org", '"*.example.org"'),
        ("**.example.org", '"*.example.org"'),
        ("a.org b.org", '["a.org", "b.org"]'),
    ],
)
def test_more_than_a_host_is_answered_with_the_host(typed: str, instead: str) -> None:
    assert refused(host=typed)["write"] == instead


@pytest.mark.parametrize(
    "typed",
    [
        "*",
        "*.*",
        "*.org",
        "localhost",
        "10.0.0.1",
        "[::1]",
        "::1",
        "http://127.0.0.1:80",
        "-a.org",
        "a..org",
        ".",
        "",
    ],
)
def test_what_is_no_host_of_the_internet_is_refused_with_a_cure(typed: str) -> None:
    answer = refused(host=typed)
    assert (answer["code"], answer["write"]) == ("bad-host", None)
    assert answer["cure"]


@pytest.mark.parametrize(
    "typed",
    [
        "https://example.org",
        "https://example.org:8443/mcp?x=1",
        "http://localhost:8931/mcp",
        "http://[::1]:1/",
        "http://127.0.0.9",
    ],
)
def test_an_address_is_encrypted_or_stays_on_this_machine(typed: str) -> None:
    assert read(url=typed) == typed


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("example.org/mcp", "https://example.org/mcp"),
        ("http://example.org/mcp", "https://example.org/mcp"),
        ("HTTP://10.0.0.5:8931", "https://10.0.0.5:8931"),
        ("http://localhost.example.org", "https://localhost.example.org"),
    ],
)
def test_an_address_without_encryption_is_answered_with_the_one_to_write(typed: str, instead: str) -> None:
    assert refused(url=typed)["write"] == instead


@pytest.mark.parametrize(
    "typed",
    ["", "wiki", "ftp://example.org", "https://", "https://x:y", "https://[", "a b", "file:///etc/passwd"],
)
def test_what_is_no_address_is_refused_with_a_cure(typed: str) -> None:
    answer = refused(url=typed)
    assert (answer["code"], answer["write"]) == ("bad-url", None)
    assert answer["cure"]


def test_a_password_in_an_address_is_refused_and_not_quoted() -> None:
    answer = refused(url="https://me:hunter2@example.org")
    assert "hunter2" not in str(answer)


def test_a_command_is_one_line_whose_quotes_are_closed() -> None:
    assert read(command='uvx "git mcp" --x') == 'uvx "git mcp" --x'
    assert refused(command="npx -y\n  wiki")["write"] == "npx -y wiki"
    assert refused(command='npx "wiki')["code"] == "bad-command"
    assert refused(command="  ")["code"] == "bad-command"


def test_a_mount_is_a_name_and_no_path() -> None:
    assert read(mount="photos-2026") == "photos-2026"
    for path in ("/srv/photos", "../x", "a/b", "~", "C:\\x"):
        assert refused(mount=path)["code"] == "bad-mount"


@given(
    st.sampled_from(["host", "url", "command", "mount"]),
    st.text(alphabet="ab.*:/@[]\\ \"'1\u00fc\n", max_size=20),
)
@settings(deadline=None)
def test_any_text_is_a_value_or_a_finding_whose_cure_is_right(field: str, text: str) -> None:
    try:
        Page.model_validate({field: text})
    except ValidationError as caught:
        [error] = caught.errors()
        assert error["ctx"]["cure"] or error["ctx"]["write"]
