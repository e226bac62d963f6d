"""What shows that a webhook comes from somebody who knows the secret: one scheme for each kind of forge."""

import base64

import pytest

from support.webhooks import BODY, SECRET, SENDERS, SIGNING_TOKEN, Headers, github, gitlab, gitlab_signed
from vaultloop.web.proof import Claim


def holds(secret: str, headers: Headers, *chunks: bytes) -> bool:
    claim = Claim(secret, {name.lower(): value for name, value in headers.items()})
    for chunk in chunks or (BODY,):
        claim.feed(chunk)
    return claim.holds()


@pytest.mark.parametrize("forge", SENDERS)
def test_what_a_forge_signs_holds_however_the_body_is_cut(forge: str) -> None:
    sender, secret = SENDERS[forge]
    assert holds(secret, sender(BODY, secret))
    assert holds(secret, sender(BODY, secret), *(bytes([byte]) for byte in BODY))


@pytest.mark.parametrize("forge", SENDERS)
def test_another_secret_does_not_hold(forge: str) -> None:
    sender, secret = SENDERS[forge]
    other = secret.swapcase()
    assert not holds(other, sender(BODY, secret))
    assert not holds(secret, sender(BODY, other))


@pytest.mark.parametrize("forge", sorted(SENDERS.keys() - {"GitLab"}))
def test_another_body_does_not_hold(forge: str) -> None:
    sender, secret = SENDERS[forge]
    assert not holds(secret, sender(BODY, secret), BODY + b" ")
    assert not holds(secret, sender(BODY, secret), BODY[:-1])


def test_the_published_examples_of_both_schemes_hold() -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert holds("It's a Secret to Everybody", {"X-Hub-Signature-256": known}, b"Hello, World!")
    # https://github.com/standard-webhooks/standard-webhooks, the example of the specification.
    sent = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert holds("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", sent, b'{"test": 2432232314}')


def test_one_of_several_signatures_is_enough_as_while_a_secret_is_changed() -> None:
    sent = dict(gitlab_signed())
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    assert holds(SIGNING_TOKEN, {**sent, "webhook-signature": f"{wrong} {sent['webhook-signature']}"})
    # A token that is another one does not spoil a signature that is right.
    assert holds(SIGNING_TOKEN, {**sent, "X-Gitlab-Token": "another"})


def test_a_signing_secret_that_is_plain_text_stands_for_itself() -> None:
    assert holds("plain", gitlab_signed(BODY, "plain"))
    assert not holds("whsec_no base64!", gitlab_signed(BODY, "plain"))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_what_is_signed_beside_the_body_counts(name: str) -> None:
    assert not holds(SIGNING_TOKEN, {**gitlab_signed(), name: "1"})
    assert not holds(SIGNING_TOKEN, {key: value for key, value in gitlab_signed().items() if key != name})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature": "sha1=0123"},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha1=0123"},
        {"webhook-signature": "v1a,0123"},
        {"webhook-signature": "v1,"},
        {"X-Gitlab-Token": ""},
        {"X-Gitlab-Token": SECRET[:-1]},
        {"X-Gitea-Signature": "ü" * 64},
        {"X-Hub-Signature-256": "sha256=" + "0" * 63},
        {"Authorization": f"Bearer {SECRET}"},
    ],
)
def test_a_claim_that_is_empty_old_short_or_no_text_does_not_hold(headers: Headers) -> None:
    assert not holds(SECRET, headers)


def test_where_nothing_is_claimed_the_body_need_not_be_read() -> None:
    assert not Claim(SECRET, {}).is_made
    assert not Claim(SECRET, {"x-hub-signature": "sha1=0123"}).is_made
    for sent in (github(), gitlab(), gitlab_signed()):
        assert Claim(SECRET, {name.lower(): value for name, value in sent.items()}).is_made


def test_a_signature_in_capital_letters_is_the_same() -> None:
    scheme, _, value = github()["X-Hub-Signature-256"].partition("=")
    assert holds(SECRET, {"X-Hub-Signature-256": f"{scheme}={value.upper()}"})
