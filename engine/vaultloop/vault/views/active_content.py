"""Active content: what a note makes the reader's Obsidian, or its plugins, load or run.

A remote image tells its host who reads; a script does what it likes. So what sessions for others than the
owner write of it waits for the owner. The search is generous: no entity, backslash, invisible letter, comment
or code block hides anything from it. What only looks active counts; a plain link never does.
"""

import hashlib
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from vaultloop.vault.notes.addresses import folded, has_address, targets
from vaultloop.vault.notes.frontmatter import parse

# A note with more characters, or with more active things in it, is not looked through; nor is a longer
# frontmatter.
LONGEST = 1_000_000
MOST = 500
LONGEST_FRONTMATTER = 50_000

# Bytes of all that one session wrote: some seconds at the worst. Who asks for more of it stops there, and
# takes the rest for active.
MOST_TEXT = 2_000_000

REMOTE_IMAGE = "a remote image"
HTML = "html that loads or runs something"
CSS = "a style that loads something"
SCRIPT = "a code block that a plugin runs"
DATAVIEW = "Dataview JavaScript"
TEMPLATER = "Templater commands"
WIDGET = "buttons or fields of a plugin"
EXCALIDRAW = "an Excalidraw drawing or script"
LINK = "a link that acts"
KIND = "a `kind:` in the frontmatter"
TOO_LONG = "more than can be looked through"

# A kind, a digest of what it is, and whether it stands in code or in a comment.
_Item = tuple[str, str, bool]
_Place = tuple[str, int, str]

_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|%%.*?(?:%%|\Z)", re.DOTALL)

# Elements that load something, run something, or send what is typed somewhere.
_ELEMENT = re.compile(
    r"<(?P<name>animate\w*|applet|area|audio|base|bgsound|body|button|embed|feimage|foreignobject|form|frame"
    r"|frameset|iframe|ilayer|image|img|input|isindex|keygen|layer|link|math|meta|object|param|picture"
    r"|portal|script|select|set|source|style|svg|template|textarea|track|use|video|webview|xml)(?![\w-])"
)
_AROUND = frozenset(
    ("audio", "form", "math", "object", "picture", "script", "style", "svg", "template", "video")
)
_ANY_ELEMENT = re.compile(r"<[a-z!?/]")
_HANDLER = re.compile(r"[\s/\"'](?:on[a-z]{3,30}|srcset|srcdoc|formaction|xlink:href|lowsrc|dynsrc)\s*=")
_LOADING = re.compile(r"[\s/\"'](?:src|background|poster|ping|data)\s*=\s*[\"']?\s*(?:[a-z]+:|[/\\]{2})")
_CSS = re.compile(r"url\(\s*[\"']?\s*(?:[a-z][a-z0-9+.-]*:|[/\\]{2})|@import\b|image-set\(|expression\(")

_RUN_BY_PLUGINS = (
    r"dataview-?js|js-engine|meta-bind[\w-]*|buttons?|customjs|cjs|react\w*|jsx:\S*|tsx:\S*|datacore[jt]sx?"
    r"|run-\w+|run|svelte|iframe|html-?\w*|embed|leaflet|excalidraw\w*|compressed-json|templater|qjs|quickadd"
    r"|shell-?commands?|chartsview|w-json|widget|custom-frames|frame|query-?js|script"
)
_FENCE = re.compile(rf"(?:(?<!`)`{{3,}}|(?<!~)~{{3,}})[ \t{{.]*(?:{_RUN_BY_PLUGINS})(?![\w-])")
_IN_CODE = (
    (DATAVIEW, re.compile(r"`\s*\$\s*=")),
    (SCRIPT, re.compile(r"\b(?:filter|sort|group)\s+by\s+function\b")),
    (WIDGET, re.compile(r"`\s*(?:button-[\w-]+|(?:button|input|view)\s*\[)")),
    (EXCALIDRAW, re.compile(r"^[\"']?excalidraw-[\w-]+[\"']?\s*:|\bexcalidrawautomate\b", re.MULTILINE)),
)

# Where the colon alone would not tell an address from prose, such as "data: three rows".
_ACTING = re.compile(
    r"(?<![a-z0-9+.-])(?:(?:java|vb|live)script:(?=\S)|obsidian:(?=[/\w])|file:(?=[/\\])"
    r"|data:(?=[a-z]+/[a-z]|[,;]))[^\s\"'<>)\]]*"
)
_PLAIN = frozenset(("http", "https", "mailto", "tel", "sms", "geo", "ftp", "ftps", "doi", "xmpp", "magnet"))
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:|//")
_REMOTE_WIKILINK = re.compile(r"[a-z][a-z0-9+.-]*:/|//|data:")

# What plugins and the core's cards show as a picture.
_PICTURE = re.compile(
    r"^[\"']?[\w-]{0,60}(?:banner|cover|image|img|icon|thumbnail|poster|background|avatar|logo|photo|picture)"
    r"[\w-]{0,60}[\"']?[ \t]*:[^\n]*(?:\n[ \t]+[^\n]*|\n-[^\n]*)*",
    re.MULTILINE,
)
_FRONTMATTER = re.compile(r"\s*---[ \t]*\n.*?(?:\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)|\Z)", re.DOTALL)
_KIND = re.compile(r"(?:^|[{,?])[ \t]*(?:!\S+[ \t]+|&\S+[ \t]+)*[\"']?kind[\"']?[ \t]*:", re.MULTILINE)

_PARAGRAPH = re.compile(r"\n[ \t>]*(?=\n)")
_FENCE_END = re.compile(r"\n[ \t>]*(?:`{3,}|~{3,})")
_SHELTER = re.compile(r"`+|~{3,}|<!--|-->|%%")


def active(text: str) -> tuple[str, ...]:
    """The kinds of active content that a note has, in words for people; empty for a plain note."""
    return _kinds(_items(text))


def added(before: str | None, after: str) -> tuple[str, ...]:
    """The kinds of active content that `after` has more of than `before`, be it of a kind that was there.

    What was there already is not blamed on who edits beside it; taking it out of a code block or a comment
    counts as writing it. `before` is None for a new note.
    """
    if before == after:
        return ()
    was, now = _items(before or ""), _items(after)
    return _kinds((now - was) + (_bare(now) - _bare(was)))


def _bare(items: Counter[_Item]) -> Counter[_Item]:
    return Counter({item: count for item, count in items.items() if not item[2]})


def _kinds(items: Iterable[_Item]) -> tuple[str, ...]:
    return tuple(sorted({kind for kind, _, _ in items}))


def _items(text: str) -> Counter[_Item]:
    """Each thing that is active, with how often it is there in the reading that shows it most often."""
    too_long: Counter[_Item] = Counter([(TOO_LONG, _digest(text), False)])
    if len(text) > LONGEST:
        return too_long
    items: Counter[_Item] = Counter()
    for number, reading in enumerate(_readings(text)):
        found = list(islice(_found(reading, first=not number), MOST + 1))
        if len(found) > MOST:
            return too_long
        items |= Counter(found)
    if _has_kind(text):
        items[KIND, _digest(_frontmatter(text)), False] = 1
    return items


def _readings(text: str) -> Iterable[str]:
    """The text as one reader or another may see it."""
    # HTML's table of names is large, and an engine that is idle needs none of it.
    from html import unescape  # noqa: PLC0415

    plain = folded(text)
    decoded = folded(unescape(plain))
    bare = _ESCAPE.sub("", folded(unescape(decoded)))
    outside = (_COMMENT.sub("", plain), _COMMENT.sub("", bare))
    return dict.fromkeys((plain, _ESCAPE.sub("", plain), decoded, bare, *outside))


def _found(text: str, *, first: bool) -> Iterator[_Item]:
    shelter = _Shelter(text)
    # The parser itself understands entities, escapes and comments: one reading is enough for it.
    for places in (_html(text), _code(text), _addresses(text, parsed=first), _pictures(text)):
        for kind, start, what in places:
            yield kind, _digest(what), shelter.covers(start)


def _html(text: str) -> Iterator[_Place]:
    for found in _ELEMENT.finditer(text):
        closing = f"</{found['name']}" if found["name"] in _AROUND else ""
        yield HTML, found.start(), _reach(text, found.start(), closing)
    if first := _ANY_ELEMENT.search(text):
        # Whether it stands inside of an element is what readers disagree about.
        for pattern in (_HANDLER, _LOADING):
            for found in pattern.finditer(text, first.start()):
                yield HTML, found.start(), _reach(text, found.start())
    for found in _CSS.finditer(text):
        yield CSS, found.start(), _reach(text, found.start())


def _code(text: str) -> Iterator[_Place]:
    for found in _FENCE.finditer(text):
        kind = DATAVIEW if "dataview" in found[0] else EXCALIDRAW if "excalidraw" in found[0] else SCRIPT
        end = _FENCE_END.search(text, found.end())
        # What matters is where the block itself stands: being one is no shelter.
        yield kind, found.start() - 1, text[found.start() : end.start() if end else len(text)]
    for kind, pattern in _IN_CODE:
        for found in pattern.finditer(text):
            yield kind, found.start() - 1, _reach(text, found.start())
    for found in re.finditer("<%", text):
        yield TEMPLATER, found.start() - 1, _reach(text, found.start(), "%>")


def _addresses(text: str, *, parsed: bool) -> Iterator[_Place]:
    for found in _ACTING.finditer(text):
        yield LINK, found.start(), found[0]
    # The two ways to read markdown find most of them twice.
    for target in dict.fromkeys(targets(text, parsed=parsed)):
        if target.image:
            remote = _REMOTE_WIKILINK if target.wikilink else _REMOTE
            if remote.match(target.address):
                yield REMOTE_IMAGE, target.start, target.address
        elif (scheme := _SCHEME.match(target.address)) and len(scheme[1]) > 1 and scheme[1] not in _PLAIN:
            yield LINK, target.start, target.address


def _pictures(text: str) -> Iterator[_Place]:
    for found in _PICTURE.finditer(_frontmatter(text)):
        if has_address(found[0]):
            yield REMOTE_IMAGE, found.start(), found[0]


def _has_kind(text: str) -> bool:
    """Whether it would be a declaration under `agent/`, by our reader or by a look at the frontmatter."""
    if len(_frontmatter(text)) > LONGEST_FRONTMATTER:
        return True
    if any(key.strip().casefold() == "kind" for key in parse("note.md", _frontmatter(text)).properties):
        return True
    return any(_KIND.search(_frontmatter(reading)) for reading in _readings(text))


def _frontmatter(text: str) -> str:
    found = _FRONTMATTER.match(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    return found[0] if found else ""


def _reach(text: str, start: int, closing: str = "") -> str:
    """From `start` to the end of its paragraph, or behind `closing` if that comes later."""
    found = _PARAGRAPH.search(text, start)
    end = found.start() if found else len(text)
    return text[start : max(end, text.find(closing, start) + len(closing))] if closing else text[start:end]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Shelter:
    """Where code and comments are."""

    def __init__(self, text: str) -> None:
        # Where it begins or ends, in turn.
        self._borders: list[int] = []
        closing = ""
        for found in _SHELTER.finditer(text):
            mark = found[0]
            if not closing and mark != "-->":
                closing = "-->" if mark == "<!--" else mark
                self._borders.append(found.start())
            elif closing and mark.startswith(closing):
                closing = ""
                self._borders.append(found.end())

    def covers(self, place: int) -> bool:
        """Whether the character at `place` is in one; nothing is before the first."""
        return bisect_right(self._borders, place) % 2 == 1
