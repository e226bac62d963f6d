"""What may be written as a schedule, and what to write instead of the rest."""

import pytest

from vaultloop.components.cron.grammar import ALIASES, InvalidSchedule, read

# What is refused, and a schedule that its cure leads to: given as a whole, or as the field to put in place.
REFUSED = [
    # from other schedulers
    ("0 0 L * *", "28", "0 0 28 * *"),
    ("0 0 LW * *", "28", "0 0 28 * *"),
    ("0 0 L-3 * *", "28", "0 0 28 * *"),
    ("0 0 * * 5L", "28", "0 0 28 * *"),
    ("0 0 * * friL", "28", "0 0 28 * *"),
    ("0 0 15W * *", "`1-5`", "0 0 * * 1-5"),
    ("0 0 * * mon#2", "the weekday alone", "0 0 * * mon"),
    ("0 0 * * 1#5", "the weekday alone", "0 0 * * 1"),
    ("0 0 ? * *", "Write `*`.", "0 0 * * *"),
    ("R * * * *", "name the number", "7 * * * *"),
    ("R(1-5) * * * *", "name the number", "3 * * * *"),
    ("H * * * *", "name the number", "7 * * * *"),
    ("H/15 * * * *", "name the number", "7 * * * *"),
    ("H(0-29)/10 * * * *", "name the number", "7 * * * *"),
    ("0 0 7 * * *", "`0 7 * * *`", "0 7 * * *"),
    ("0 0 7 * * * 2026", "`0 7 * * *`", "0 7 * * *"),
    ("@every 5m", "`*/5 * * * *`", "*/5 * * * *"),
    ("@every 2h", "`0 */2 * * *`", "0 */2 * * *"),
    ("@every 7m", "`*/15 * * * *`", "*/15 * * * *"),
    ("@every 60m", "`0 */6 * * *`", "0 */6 * * *"),
    ("@every 90m", "`0 */6 * * *`", "0 */6 * * *"),
    ("@every 24h", "`0 */6 * * *`", "0 */6 * * *"),
    ("@every 30s", "`*/15 * * * *`", "*/15 * * * *"),
    ("@every", "`*/15 * * * *`", "*/15 * * * *"),
    ("@reboot", "@daily", "@daily"),
    ("@noon", "@daily", "@daily"),
    ("TZ=Europe/Berlin 0 7 * * *", "`timezone: Europe/Berlin`", "0 7 * * *"),
    ("CRON_TZ=UTC 0 7 * * *", "Write `0 7 * * *`", "0 7 * * *"),
    ("TZ=Europe/Berlin @daily", "Write `@daily`", "@daily"),
    ("TZ=", "`timezone: UTC`", "0 7 * * *"),
    # ranges that wrap around
    ("22-2 * * * *", "`22-59,0-2`", "22-59,0-2 * * * *"),
    ("0 22-2 * * *", "`22-23,0-2`", "0 22-23,0-2 * * *"),
    ("0 0 28-3 * *", "`28-31,1-3`", "0 0 28-31,1-3 * *"),
    ("0 0 * nov-feb *", "`11-12,1-2`", "0 0 * 11-12,1-2 *"),
    ("0 0 * * fri-mon", "`5-7,0-1`", "0 0 * * 5-7,0-1"),
    ("0 0 * * sat-sun", "`6-7`", "0 0 * * 6-7"),
    # steps
    ("*/0 * * * *", "from 1 to 59, as in `*/15`", "*/15 * * * *"),
    ("0-30/0 * * * *", "from 1 to 59", "0-30/15 * * * *"),
    ("*/60 * * * *", "from 1 to 59", "*/15 * * * *"),
    ("0 */24 * * *", "from 1 to 23, as in `*/2`", "0 */2 * * *"),
    ("0 0 */32 * *", "from 1 to 31", "0 0 */2 * *"),
    ("0 0 * */13 *", "from 1 to 12", "0 0 * */2 *"),
    ("0 0 * * */8", "from 1 to 7", "0 0 * * */2"),
    ("5/15 * * * *", "`5-59/15`, or `5`", "5-59/15 * * * *"),
    ("0 0 * * mon/2", "`mon-7/2`, or `mon`", "0 0 * * mon-7/2"),
    ("*/1.5 * * * *", "as in `*/15`", "*/15 * * * *"),
    ("*/5/2 * * * *", "as in `*/15`", "*/15 * * * *"),
    # numbers and names
    ("60 * * * *", "from 0 to 59", "59 * * * *"),
    ("10-70 * * * *", "from 0 to 59", "10-59 * * * *"),
    ("-1 * * * *", "from 0 to 59", "1 * * * *"),
    ("0 24 * * *", "from 0 to 23", "0 0 * * *"),
    ("0 0 0 * *", "from 1 to 31", "0 0 1 * *"),
    ("0 0 32 * *", "from 1 to 31", "0 0 31 * *"),
    ("0 0 * 0 *", "from 1 to 12", "0 0 * 1 *"),
    ("0 0 * 13 *", "or jan to dec", "0 0 * dec *"),
    ("0 0 * * 8", "from 0 to 7 or sun to sat", "0 0 * * 7"),
    ("0 0 * * 1-8", "from 0 to 7", "0 0 * * 1-7"),
    ("0 0 * * monday", "Write `mon`.", "0 0 * * mon"),
    ("0 0 * january *", "Write `jan`.", "0 0 * jan *"),
    ("jan * * * *", "from 0 to 59", "1 * * * *"),
    ("0000 0 * * *", "from 0 to 59", "0 0 * * *"),
    ("+5 * * * *", "from 0 to 59", "5 * * * *"),
    ("1-2-3 * * * *", "ranges `1-3`", "1-3 * * * *"),
    ("*-5 * * * *", "ranges `1-3`", "1-3 * * * *"),
    ("1,,2 * * * *", "lists `1,2`", "1,2 * * * *"),
    # fields
    ("* * * *", "`0 7 * * *`", "0 7 * * *"),
    ("7:30", "`0 7 * * *`", "0 7 * * *"),
    ("1, 2 * * * *", "`1,2 * * * *`", "1,2 * * * *"),
    # dates
    ("0 0 30 feb *", "`0 0 28 2 *`", "0 0 28 2 *"),
    ("0 0 31 4,6,9,11 *", "`0 0 28 4,6,9,11 *`", "0 0 28 4,6,9,11 *"),
    ("0 0 30 2 */2", "`0 0 28 2 */2`", "0 0 28 2 */2"),
]


@pytest.mark.parametrize(("written", "cure", "cured"), REFUSED)
def test_what_is_refused_says_what_to_write_and_that_is_understood(
    written: str, cure: str, cured: str
) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        read(written)
    assert refusal.value.message.endswith(".")
    assert "``" not in refusal.value.message
    assert cure in refusal.value.cure
    read(cured)


@pytest.mark.parametrize("written", [written for written, *_ in REFUSED])
def test_a_whole_schedule_in_a_cure_can_be_copied(written: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        read(written)
    for quoted in refusal.value.cure.split("`")[1::2]:
        if quoted.startswith("@") or len(quoted.split(" ")) == 5:
            read(quoted)


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("0 0 * * 7", ("0", "0", "*", "*", "0")),
        ("0 0 * * 0-7", ("0", "0", "*", "*", "0,1,2,3,4,5,6")),
        ("0 0 * * sat,SUN", ("0", "0", "*", "*", "0,6")),
        ("0 0 * Jan-mar *", ("0", "0", "*", "1,2,3", "*")),
        ("0 0 29 2 *", ("0", "0", "29", "2", "*")),
        ("*/59 */23 * * *", ("*/59", "*/23", "*", "*", "*")),
        ("10-20/30 * * * *", ("10", "*", "*", "*", "*")),  # a step beyond its range: the first alone
        ("5-5/2 * * * *", ("5", "*", "*", "*", "*")),
        ("3,1,2,1 * * * *", ("1,2,3", "*", "*", "*", "*")),
        ("*,3 0 * * *", (",".join(["*", *map(str, range(60))]), "0", "*", "*", "*")),
        ("00 007 * * *", ("0", "7", "*", "*", "*")),
    ],
)
def test_what_is_accepted_has_the_meaning_of_vixie_cron(written: str, fields: tuple[str, ...]) -> None:
    assert read(written) == fields


@pytest.mark.parametrize("alias", ALIASES)
def test_each_alias_means_its_five_fields(alias: str) -> None:
    assert read(alias) == read(ALIASES[alias])
