"""The jobs that the text of a `crontab` note declares: rows of a table, or headings with keys below them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from vaultloop.components.cron.markdown import Block, Cell, Text, cells, is_ruler, ruler
from vaultloop.components.cron.prompt import misread
from vaultloop.model.entry import Entries, Entry
from vaultloop.model.finding import Finding, Place
from vaultloop.model.problem import Severity
from vaultloop.model.words import near_miss, shape

# What every job needs, with an example; `prompt` is what notes of other kinds have below their frontmatter.
NEEDED = {
    "name": "morning",
    "schedule": "0 7 * * *",
    "scope": "[[owner]]",
    "prompt": "What is planned today?",
}
# Two of these in a table's headings, or one in the lines below a heading, say that jobs are meant.
_TELLING = ("name", "schedule", "scope")
# Keys that take several values, which stand beside each other with commas between them.
_LISTS = frozenset({"send-to", "mounts"})

_KEY_LINE = re.compile(
    r"[ ]{0,3}(?:[-*+][ ]+)?(?:\*\*|__|`)?(?P<key>[A-Za-z][A-Za-z _-]*?)(?:\*\*|__|`)?[ ]*::?(?:\*\*|__)?"
    r"[ ]*(?P<value>.*?)[ ]*"
)
_RULE = re.compile(r"[ ]{0,3}(?:-{3,}|\*{3,}|_{3,})[ ]*")
_LINK_WITH_BAR = re.compile(r"\[\[([^\[\]|\\]*)\|([^\[\]|]*)\]\]")


def read(text: str, keys: Collection[str]) -> Entries:
    """The jobs that `text` declares; `keys` are those that a job may have."""
    return _Reading(text, keys).result()


class _Reading:
    """The way from a text to its jobs; lines are known by their index in `Text`."""

    def __init__(self, text: str, keys: Collection[str]) -> None:
        self._keys = {*keys, "prompt"}
        self._text = Text(text)
        self._entries: list[Entry] = []
        self._findings: list[Finding] = []
        self._names: set[str] = set()
        self._near: dict[str, str | None] = {}

    def result(self) -> Entries:
        blocks = self._text.blocks()
        sections = list(self._sections(blocks.headings))
        for heading, end in sections:
            self._take_section(heading, end)

        def outside(block: Block) -> bool:
            return not any(heading.begin <= block.begin < end for heading, end in sections)

        tables = [table for table in filter(outside, blocks.tables) if self._is_of_jobs(table.begin)]
        for table in tables:
            self._take_table(table)
        for paragraph in filter(outside, blocks.paragraphs):
            self._tell_if_table(paragraph, tables)
        if not self._entries and not self._findings:
            message = "This crontab declares nothing: it has no table of jobs and no heading with keys."
            cure = "Write a table with the columns name, schedule, scope and prompt below the closing `---`."
            self._findings.append(Finding("body", "no-jobs", message, cure))
        return Entries(tuple(self._entries), tuple(self._findings))

    def _tell(
        self, key: str, code: str, message: str, cure: str = "", *, place: Place, write: str | None = None
    ) -> None:
        self._findings.append(Finding(key, code, message, cure, write=write, place=place))

    def _known(self, typed: str, place: Place) -> str | None:
        """The key that was typed; None if it is none, which is told."""
        key = shape(typed)
        if key in self._keys:
            return key
        if key.startswith("x-"):
            return None
        if (meant := self._meant(key)) is not None:
            message = f"There is no key `{typed}`; `{meant}` is what a job has."
            self._tell(meant, "unknown-key", message, write=meant, place=place)
        else:
            message = f"`{typed}` means nothing here: a job has no such key, so it is not read."
            warning = Severity.WARNING
            own = "x-" + key
            self._findings.append(
                Finding(key, "unknown-key", message, write=own, place=place, severity=warning)
            )
        return None

    def _meant(self, typed: str) -> str | None:
        """The key that `typed` is or nearly is; asked often, of few words."""
        if typed not in self._near:
            self._near[typed] = near_miss(typed, self._keys)
        return self._near[typed]

    def _take(self, place: Place, values: Mapping[str, str], places: Mapping[str, Place]) -> None:
        """One job, as it is written."""
        self._take_name("name", values, places)
        if "id" in values:
            self._take_name("id", values, places)
        found: dict[str, str | list[str]] = {}
        located: dict[str, tuple[Place, ...]] = {}
        for key, value in values.items():
            field = "body" if key == "prompt" else key
            found[field], located[field] = value, (places[key],)
            if key in _LISTS:
                found[field], located[field] = _items(value, places[key])
        self._entries.append(Entry(place, found, located))

    def _take_name(self, key: str, values: Mapping[str, str], places: Mapping[str, Place]) -> None:
        """What a job is known by: a name may be taken by a name or by an `id`."""
        name = values.get(key, "")
        is_its_own = key == "id" and name.casefold() == values.get("name", "").casefold()
        if name and name.casefold() in self._names and not is_its_own:
            message = f"There are two jobs of the {key} `{name}` in this note."
            self._tell(key, f"duplicate-{key}", message, write=f"{name}-2", place=places[key])
        self._names.add(name.casefold())

    # Tables.

    def _is_of_jobs(self, line: int) -> bool:
        named = {near_miss(head.value, _TELLING) for head in cells(self._text[line])}
        return len(named - {None}) > 1

    def _take_table(self, table: Block) -> None:
        columns = self._columns(table.begin)
        rows = range(table.begin + 2, table.end)
        for line in rows:
            self._take_row(line, columns)
        if not rows:
            message = "This table has no row, so it declares nothing."
            cure = "Write a row for each job below the line of dashes."
            self._tell("body", "no-jobs", message, cure, place=self._text.place(table.begin))

    def _columns(self, line: int) -> list[str | None]:
        """The key of each column; None for those that are not read."""
        heads = cells(self._text[line])
        columns = [self._known(head.value, self._place(line, head)) if head.value else None for head in heads]
        meant = {self._meant(head.value) for head in heads}
        place = self._text.place(line)
        for key in NEEDED.keys() - meant:
            message, cure = f"This table has no column `{key}`.", f"Add a column `{key}`."
            self._tell(key, "missing-field", message, cure, place=place)
        for key in {key for key in columns if key and columns.count(key) > 1}:
            message, cure = f"This table has the column `{key}` twice.", "Delete one of the two columns."
            self._tell(key, "duplicate-key", message, cure, place=place)
        return columns

    def _take_row(self, line: int, columns: Sequence[str | None]) -> None:
        row = cells(self._text[line])
        if any(cell.value for cell in row[len(columns) :]):
            self._tell_of_bars(line)
            return
        filled = {key: cell for key, cell in zip(columns, row, strict=False) if key is not None}
        for key, cell in filled.items():
            if key in NEEDED and not cell.value:
                self._tell_empty(key, line, cell)
        for key in NEEDED.keys() & set(columns[len(row) :]):
            message, cure = f"This job has no {key}.", f"Add a cell with its {key} to this row."
            self._tell(key, "missing-field", message, cure, place=self._text.place(line))
        filled = {key: cell for key, cell in filled.items() if cell.value}
        places = {key: self._place(line, cell) for key, cell in filled.items()}
        values = {key: cell.value for key, cell in filled.items()}
        if prompt := filled.get("prompt"):
            at = places["prompt"]
            self._findings += misread(prompt.written, line=at.line, column=at.column)
            values["prompt"] = prompt.paragraph
        self._take(self._text.place(line), values, places)

    def _tell_of_bars(self, line: int) -> None:
        written = self._text[line]
        escaped = _LINK_WITH_BAR.sub(r"[[\1\\|\2]]", written)
        message = "This row has more cells than the table has headings. A bar within a cell is written `\\|`."
        cure = "Write `\\|` in place of each bar that belongs to the text."
        write = escaped if escaped != written else None
        self._tell("body", "bad-table", message, cure, write=write, place=self._text.place(line))

    def _tell_empty(self, key: str, line: int, cell: Cell) -> None:
        message = f"This job has no {key}."
        self._tell(key, "missing-field", message, write=f" {NEEDED[key]} ", place=self._place(line, cell))

    def _place(self, line: int, cell: Cell) -> Place:
        return self._text.place(line, cell.begin, cell.end)

    def _tell_if_table(self, paragraph: Block, tables: Sequence[Block]) -> None:
        """Lines that were meant to be a table of jobs, or to go on with one, and are not."""
        begin = paragraph.begin
        if self._text[begin].lstrip().startswith("|"):
            for table in tables:
                if table.end < begin and all(map(self._text.is_empty, range(table.end, begin))):
                    message = "The empty line ends the table here, so the rows below it are not read."
                    place = self._text.place(table.end)
                    self._tell("body", "bad-table", message, "Delete this line.", place=place)
                    return
        if self._is_of_jobs(begin) and "|" in self._text[begin]:
            self._tell_of_ruler(paragraph)

    def _tell_of_ruler(self, paragraph: Block) -> None:
        begin = paragraph.begin
        dashes = ruler(cells(self._text[begin]))
        if begin + 1 < paragraph.end and is_ruler(self._text[begin + 1]):
            message = "This line has not one part for each heading above it, so there is no table."
            self._tell("body", "bad-table", message, write=dashes, place=self._text.place(begin + 1))
        else:
            message = "There is no line of dashes below these headings, so there is no table."
            place = self._text.place(begin)
            self._findings.append(Finding("body", "bad-table", message, add=dashes, place=place))

    # Headings.

    def _sections(self, headings: Sequence[Block]) -> Iterator[tuple[Block, int]]:
        """Each heading that is a job, with the line at which its text ends."""
        begun = 0
        for number, heading in enumerate(headings):
            after = (other.begin for other in headings[number + 1 :] if other.level <= heading.level)
            end = next(after, len(self._text))
            keys = self._key_lines(heading.end, end)
            if heading.begin >= begun and any(self._meant(key) in _TELLING[1:] for _, key, _ in keys):
                begun = end
                yield heading, end

    def _key_lines(self, begin: int, end: int) -> list[tuple[int, str, Cell]]:
        """The lines below a heading that are keys, each with what stands after its colon."""
        found: list[tuple[int, str, Cell]] = []
        for line in range(begin, end):
            if self._text.is_empty(line):
                # Once the job is told, what comes after an empty line is its prompt, whatever it looks like.
                if {"schedule", "scope"} <= {self._meant(key) for _, key, _ in found}:
                    break
                continue
            match = _KEY_LINE.fullmatch(self._text[line])
            if match is None:
                break
            found.append((line, match["key"], Cell(self._text[line], *match.span("value"))))
        while found and self._meant(found[-1][1]) is None:
            found.pop()
        return found

    def _take_section(self, heading: Block, end: int) -> None:
        title = self._text[heading.begin].find(heading.title)
        at = self._text.place(heading.begin, max(title, 0), max(title, 0) + len(heading.title))
        values, places = {"name": heading.title}, {"name": at}
        lines = self._key_lines(heading.end, end)
        meant = {self._meant(key) for _, key, _ in lines}
        for line, typed, value in lines:
            self._take_key(line, typed, value, values, places)
        self._take_prompt(lines[-1][0] + 1, end, values, places)
        for key in NEEDED.keys() - meant - values.keys():
            self._tell_lacking(key, heading)
        self._take(self._text.place(heading.begin), values, places)

    def _take_key(
        self, line: int, typed: str, value: Cell, values: dict[str, str], places: dict[str, Place]
    ) -> None:
        begin = self._text[line].index(typed)
        key = self._known(typed, self._text.place(line, begin, begin + len(typed)))
        if key is None:
            return
        if key in values and key != "name":
            message = f"This job has the key `{key}` twice."
            self._tell(key, "duplicate-key", message, "Delete this line.", place=self._text.place(line))
        elif value.written:
            values[key], places[key] = value.written, self._place(line, value)
        elif key in NEEDED:
            self._tell_empty(key, line, value)

    def _take_prompt(self, begin: int, end: int, values: dict[str, str], places: dict[str, Place]) -> None:
        while begin < end and (self._text.is_empty(begin) or _RULE.fullmatch(self._text[begin])):
            begin += 1
        if "prompt" in places:
            first = places["prompt"]
            self._findings += misread(values["prompt"], line=first.line, column=first.column)
        for line in range(begin, end):
            self._findings += misread(self._text[line], line=self._text.place(line).line)
        if below := self._text.between(begin, end).strip():
            places.setdefault("prompt", self._text.place(begin))
            values["prompt"] = "\n".join(filter(None, (values.get("prompt"), below)))

    def _tell_lacking(self, key: str, heading: Block) -> None:
        message, place = f"This job has no {key}.", self._text.place(heading.end - 1)
        if key == "prompt":
            cure = "Write below its keys what it is to do."
            self._tell(key, "missing-field", message, cure, place=place)
        else:
            add = f"{key}: {NEEDED[key]}"
            self._findings.append(Finding(key, "missing-field", message, add=add, place=place))


def _items(value: str, place: Place) -> tuple[list[str], tuple[Place, ...]]:
    """The values of a list, and where each stands; commas within a link belong to it."""
    found = [item for item in re.finditer(r"(?:\[\[[^\[\]]*\]\]|[^,])+", value) if item[0].strip()]
    items = [item[0].strip() for item in found]
    begins = [place.column + item.start() + len(item[0]) - len(item[0].lstrip()) for item in found]
    places = [Place(place.line, at, at + len(text)) for at, text in zip(begins, items, strict=True)]
    return items, tuple(places)
