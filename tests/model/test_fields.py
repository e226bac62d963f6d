from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from vaultloop.model import fields


class Page(BaseModel):
    """One key of each type."""

    duration: fields.Duration = timedelta(0)
    usd: fields.Usd = 0
    count: fields.Count = 0
    positive: fields.Positive = 1
    ids: fields.Ids = ()
    globs: fields.Globs = ()
    name: fields.Name = ""
    names: fields.Names = ()
    recipients: fields.Recipients = ()
    timezone: fields.Timezone = "UTC"
    moment: fields.Moment = datetime(2026, 1, 1)  # noqa: DTZ001 - a note has no zone of its own
    text: fields.Text = ""


def read(**values: Any) -> Any:
    page = Page.model_validate(values)
    return getattr(page, next(iter(values)))


def refused(**values: Any) -> dict[str, Any]:
    with pytest.raises(ValidationError) as caught:
        Page.model_validate(values)
    (error,) = caught.value.errors()
    return {"code": error["type"], **error["ctx"]}


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90s", 90), ("10m", 600), ("6h", 21600), ("2d", 172800), ("1h30m", 5400), (" 10 M ", 600), ("0s", 0)],
)
def test_a_duration_is_a_number_and_a_unit(typed: str, seconds: int) -> None:
    assert read(duration=typed) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("typed", "instead"),
    [("10", "10m"), ("10 minutes", "10m"), ("5min", "5m"), ("2 hours", "2h"), ("1day", "1d")],
)
def test_a_duration_with_a_slip_is_answered_with_what_to_write(typed: str, instead: str) -> None:
    assert refused(duration=typed)["write"] == instead


@pytest.mark.parametrize("typed", ["soon", "-5m", "1.5h", "٣m", "900000h"])
def test_what_is_no_duration_is_refused_with_a_cure(typed: str) -> None:
    assert "`6h`" in refused(duration=typed)["cure"]


@pytest.mark.parametrize(
    ("span", "text"), [(90, "90s"), (600, "10m"), (21600, "6h"), (172800, "2d"), (0, "0s"), (3601, "3601s")]
)
def test_a_duration_is_shown_in_the_largest_unit_that_fits(span: int, text: str) -> None:
    assert fields.duration_text(timedelta(seconds=span)) == text
    assert read(duration=text) == timedelta(seconds=span)


@pytest.mark.parametrize(
    ("typed", "amount"), [("0.5", 0.5), ("$2", 2), ("3 USD", 3), ("5$", 5), (".25", 0.25), ("7", 7)]
)
def test_an_amount_may_carry_its_currency(typed: str, amount: float) -> None:
    assert read(usd=typed) == amount


@pytest.mark.parametrize("typed", ["free", "-1", "nan", "inf", "1e3", "3 EUR"])
def test_what_is_no_amount_is_refused(typed: str) -> None:
    assert refused(usd=typed)["code"] == "bad-amount"


def test_whole_numbers_are_digits_only() -> None:
    assert read(count="0") == 0
    assert refused(count="1.000")["write"] == "1000"
    assert refused(count="two")["code"] == "bad-number"
    assert refused(positive="0")["code"] == "bad-number"


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("-1001234567890 Family", ("-1001234567890",)),
        (["111", "222 Ann"], ("111", "222")),
        ("owner", ("owner",)),
        ("\u2212100123 typed with a minus sign", ("-100123",)),
        ("\u201c111\u201d", ("111",)),
        ("", ()),
        ([], ()),
    ],
)
def test_an_id_may_carry_a_label_and_a_single_one_is_a_list(typed: Any, ids: tuple[str, ...]) -> None:
    assert read(ids=typed) == ids


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("Owner", "owner"),
        ("Ann 123456", '"123456 Ann"'),
        ("111111, 222222", '["111111", "222222"]'),
        ("anyon", "anyone"),
    ],
)
def test_an_id_with_a_slip_is_answered_with_what_to_write(typed: str, instead: str) -> None:
    assert refused(ids=typed)["write"] == instead


@pytest.mark.parametrize("typed", ["@ann", "ann", "everybody", "x1"])
def test_a_name_is_no_id(typed: str) -> None:
    assert refused(ids=typed)["code"] == "bad-id"


@pytest.mark.parametrize(
    ("typed", "globs"),
    [
        ("**", ("**",)),
        ("/Notes/", ("Notes",)),
        ("./a/*.md", ("a/*.md",)),
        (["a", "b"], ("a", "b")),
        ("Cafe\u0301", ("Café",)),
    ],
)
def test_a_glob_is_anchored_at_the_top_folder(typed: Any, globs: tuple[str, ...]) -> None:
    assert read(globs=typed) == globs


@pytest.mark.parametrize("typed", ["../x", "a/../../b", "/", "C:/x", "~/x", "a\\b", "[[x]]", "a, b"])
def test_a_path_that_cannot_be_meant_is_refused(typed: str) -> None:
    assert refused(globs=typed)["code"] == "bad-glob"


@pytest.mark.parametrize(
    "typed",
    [
        "owner",
        "[[owner]]",
        "[[agent/scopes/owner]]",
        "[[agent/scopes/owner.md|My chat]]",
        "[[owner#Who]]",
        "[[owner#^a1|x]]",
        "[[owner\\|in a table]]",
        "owner.md",
        "agent/scopes/owner.md",
        "[me](agent/scopes/owner.md)",
        "[me](<agent/scopes/owner.md>)",
        "![[owner]]",
        '"[[owner]]"',
        " [[ owner ]] ",
    ],
)
def test_a_reference_is_understood_in_every_form_that_obsidian_writes(typed: str) -> None:
    assert read(name=typed) == "owner"


def test_a_markdown_link_may_be_percent_encoded() -> None:
    assert read(name="[x](agent/My%20chat.md)") == "My chat"


def test_several_links_in_one_text_are_several_references() -> None:
    assert read(names="[[a]], [[folder/b|B]]") == ("a", "b")


def test_a_link_to_nothing_is_refused() -> None:
    assert refused(name="[[]]")["code"] == "bad-reference"


def test_recipients_are_ids_words_or_references() -> None:
    assert read(recipients=["-1001 Family", "owner", "[[scopes/family]]", "garden"]) == (
        "-1001",
        "owner",
        "family",
        "garden",
    )


@pytest.mark.parametrize("typed", ["Europe/Berlin", "UTC", "America/Argentina/Ushuaia"])
def test_a_timezone_is_a_name_of_the_tz_database(typed: str) -> None:
    assert read(timezone=typed) == typed


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("New York", "America/New_York"),
    ],
)
def test_a_timezone_with_a_slip_is_answered_with_its_name(typed: str, instead: str) -> None:
    assert refused(timezone=typed)["write"] == instead


@pytest.mark.parametrize("typed", ["UTC+2", "Europe", "", "../etc/passwd", "/etc/passwd", "+02:00"])
def test_what_is_no_timezone_is_refused(typed: str) -> None:
    assert refused(timezone=typed)["code"] == "unknown-timezone"


def test_a_moment_is_a_date_and_a_time() -> None:
    nine = datetime(2026, 11, 22, 9)  # noqa: DTZ001
    assert read(moment="2026-11-22 9:00") == read(moment="2026-11-22T09:00:00") == nine
    assert refused(moment="2026-11-22")["write"] == "2026-11-22 09:00"
    assert refused(moment="tomorrow")["code"] == "bad-time"
    assert refused(moment="2026-02-30 09:00")["code"] == "impossible-date"


def test_a_message_may_quote_braces_that_were_typed() -> None:
    assert "{x}" in refused(duration="{x}")["message"]


@pytest.mark.parametrize(
    "field", ["duration", "usd", "count", "ids", "globs", "name", "timezone", "moment", "text"]
)
def test_nested_values_are_refused_by_every_type(field: str) -> None:
    with pytest.raises(ValidationError):
        Page.model_validate({field: {"a": "b"}})
