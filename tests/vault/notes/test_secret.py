import pytest

from vaultloop.vault.notes.secret import scrubbed, sightings

SECRETS = [
    "sk-ant-api03-" + "a" * 24,
    "sk-proj-" + "Ab1" * 10,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 20,
    "glpat-" + "a1" * 10,
    "xoxb-" + "12345678901",
    "AKIA" + "A1" * 8,
    "AIza" + "a" * 35,
    "123456789:" + "A" * 35,
    "7|" + "a1" * 20,
    "eyJ" + "a" * 10 + ".eyJ" + "b" * 10 + "." + "c" * 10,
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "https://ann:hunter2@example.org/x",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_found_and_can_be_taken_out(secret: str) -> None:
    (found,) = sightings(f"one\ntwo {secret} three")
    assert (found.line, found.column) == (2, 5)
    assert secret not in scrubbed(f"x {secret} y")


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn and sk-8 boards",
        "-1001234567890 Family",
        "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d",
        "https://example.org:8080/a@b",
        "GITHUB_TOKEN",
        "12:30",
        "https://{{user}}@example.org",
        "https://example.org/a:b@c",
    ],
)
def test_ordinary_text_is_no_secret(text: str) -> None:
    assert list(sightings(text)) == []
