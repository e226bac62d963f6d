"""The grammar of schedules: five fields of numbers, words, lists, ranges and steps, and nothing beyond.

What other schedulers allow on top (seconds, `L`, `W`, `#`, `?`, random fields, ranges that wrap around) is
refused with what to write instead: a schedule must mean the same to everybody who reads the note.
"""

import calendar
import re
from dataclasses import dataclass

# Minute, hour, day, month, weekday.
Fields = tuple[str, str, str, str, str]

# The most days that each month can have.
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class InvalidSchedule(ValueError):
    """A schedule that cannot be read, or that would never fire.

    Attributes:
        message: what is wrong, one sentence.
        cure: what to write instead, if possible the exact text.
    """

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(f"{message} {cure}")
        self.message = message
        self.cure = cure


def read(written: str) -> Fields:
    """The five fields of a schedule or of one of the `@` names, in numbers.

    A field that began with `*` still does: cron reads the two day fields differently then.

    Raises:
        InvalidSchedule: it is not understood, or names a date that no calendar has; with the cure.
    """
    parts = _split(_without_alias(written))
    minute, hour, day, month, weekday = (
        field.read(part, written) for field, part in zip(_FIELDS, parts, strict=True)
    )
    if not _has_a_date(day, month, weekday):
        raise InvalidSchedule(
            f"`{written}` never fires: no year has such a date.",
            f"Name a day that the month has, for instance `{minute} {hour} 28 {month} {weekday}`.",
        )
    return minute, hour, day, month, weekday


def _has_a_date(day: str, month: str, weekday: str) -> bool:
    """Whether some year has a date that these fields name."""
    # A day or month that began with `*` holds the first one; a weekday that did not is enough by itself. With
    # one that did, each date falls on every weekday in some year.
    if day.startswith("*") or month.startswith("*") or not weekday.startswith("*"):
        return True
    first = int(day.partition(",")[0])
    return any(first <= _LONGEST[int(number) - 1] for number in month.split(","))


def _without_alias(written: str) -> str:
    if not written.startswith("@"):
        return written
    name = written.lower()
    if name in ALIASES:
        return ALIASES[name]
    if name.startswith("@every"):
        raise InvalidSchedule(f"`{written}` is not cron.", _at_intervals(name))
    cure = f"Write one of {', '.join(ALIASES)}, or five fields such as `0 7 * * *`."
    if name == "@reboot":
        raise InvalidSchedule("`@reboot` is no time: jobs fire by the clock.", cure)
    raise InvalidSchedule(f"`{written}` is not a known name.", cure)


def _at_intervals(name: str) -> str:
    """What to write for `@every 5m` or `@every 2h`: cron counts from each full hour or midnight on."""
    every = re.fullmatch(r"@every ([1-9]\d{0,2})([mh])", name)
    number, unit = (int(every[1]), every[2]) if every else (0, "")
    if unit == "m" and 60 % number == 0 and number < 60:
        return f"Write `*/{number} * * * *`."
    if unit == "h" and 24 % number == 0 and number < 24:
        return f"Write `0 */{number} * * *`."
    return "Write a step that divides the hour or the day, such as `*/15 * * * *` or `0 */6 * * *`."


def _split(expression: str) -> list[str]:
    """The five fields.

    Raises:
        InvalidSchedule: there are more or fewer.
    """
    # Phones turn a hyphen between numbers into a dash.
    parts = re.sub("[\u2010-\u2015\u2212]", "-", expression.lower()).split(" ")
    if len(parts) == len(_FIELDS):
        return parts
    if zone := re.match(r"(?i)(?:cron_)?tz=(\S*) ?(.*)", expression):
        schedule, name = zone[2] or "0 7 * * *", zone[1] or "UTC"
        cure = f"Write `{schedule}`, and in a line of its own `timezone: {name}`."
        raise InvalidSchedule("The timezone is not part of the schedule.", cure)
    joined = re.sub(r"\s*,\s*", ",", " ".join(parts))
    if len(joined.split(" ")) == len(_FIELDS):
        raise InvalidSchedule("A list must not contain spaces.", f"Write `{joined}`.")
    if len(parts) == len(_FIELDS) + 1:
        raise InvalidSchedule(
            "There are six fields; schedules here have no field for seconds or years.",
            f"Write five: minute hour day month weekday, perhaps `{' '.join(parts[1:])}`.",
        )
    raise InvalidSchedule(
        f"`{expression}` has {len(parts)} of five fields." if expression else "The schedule is empty.",
        "Write minute hour day month weekday, for instance `0 7 * * *` for every day at 7:00.",
    )


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name, its bounds, and the words that stand for numbers (from `low` on)."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def read(self, text: str, schedule: str) -> str:
        """The field in numbers.

        Raises:
            InvalidSchedule: with the whole `schedule` in the cure where the mistake can be mended in place.
        """
        if text == "*":
            return text
        values: set[int] = set()
        items = text.split(",")
        for item in items:
            try:
                values.update(self._folded(value) for value in self._item(item))
            except InvalidSchedule as error:
                raise InvalidSchedule(f"In `{schedule}`: {error.message}", error.cure) from None
        numbers = ",".join(map(str, sorted(values)))
        if not text.startswith("*"):
            return numbers
        return text if len(items) == 1 else f"{items[0]},{numbers}"

    def _folded(self, value: int) -> int:
        # A weekday's 7 is its 0 again.
        return value % 7 if self.words == _WEEKDAYS else value

    def _item(self, item: str) -> range:
        span, slash, step = item.partition("/")
        low, high = self._span(span)
        if not slash:
            return range(low, high + 1)
        if span != "*" and "-" not in span:
            raise self._wrong(item, f"Write `{span}-{self.high}/{step}`, or `{span}` alone.")
        if not _is_number(step) or not 1 <= int(step) <= self.high:
            raise self._wrong(
                item, f"A step is a number from 1 to {self.high}, as in `*/{self._usual_step}`."
            )
        return range(low, high + 1, int(step))

    def _span(self, span: str) -> tuple[int, int]:
        if span == "*":
            return self.low, self.high
        first, dash, last = span.partition("-")
        low = self._value(first, span)
        high = self._value(last, span) if dash else low
        if dash and self.words == _WEEKDAYS and high == 0 and low > 0:
            raise self._wrong(span, f"Sunday is day 7 at the end of a range: write `{low}-7`.")
        if low > high:
            raise self._wrong(
                span, f"A range must not wrap around: write `{low}-{self.high},{self.low}-{high}`."
            )
        return low, high

    def _value(self, text: str, span: str) -> int:
        if text in self.words:
            return self.low + self.words.index(text)
        if _is_number(text) and self.low <= int(text) <= self.high:
            return int(text)
        raise self._wrong(span, self._cure(text))

    def _cure(self, text: str) -> str:
        for sign, cure in _FOREIGN.items():
            if re.fullmatch(sign, text):
                return cure
        if meant := next((word for word in self.words if text.startswith(word)), None):
            return f"Write `{meant}`."
        words = f" or {self.words[0]} to {self.words[-1]}" if self.words else ""
        return (
            f"The {self.name} is a number from {self.low} to {self.high}{words}; lists `1,2`, ranges `1-3`."
        )

    def _wrong(self, item: str, cure: str) -> InvalidSchedule:
        what = f"`{item}`" if item else "An empty place in a list"
        return InvalidSchedule(f"{what} is not a valid {self.name}.", cure)

    @property
    def _usual_step(self) -> int:
        return 15 if self.high > 31 else 2


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,3}", text) is not None


_MONTHS = tuple(name.lower() for name in calendar.month_abbr[1:])
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)

# What other schedulers allow, and what to write here.
_FOREIGN = {
    r"\*\*+": "Write a single `*`.",
    r"\?": "Write `*`.",
    r"(\d*|[a-z]{3})l|l[w\d-]*": "`L` (last) is not understood: name a day that every month has, such as 28.",
    r"\d*w\d*": "`W` (nearest workday) is not understood: name the day, or weekdays such as `1-5`.",
    r".+#.*": "`#` (the n-th weekday) is not understood: name the weekday alone.",
    r"[rh](\(.*)?": "Random times are not understood: name the number.",
}
