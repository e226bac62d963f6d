import time

import pytest

from vaultloop.vault.views.active_content import (
    CSS,
    DATAVIEW,
    EXCALIDRAW,
    HTML,
    KIND,
    LINK,
    LONGEST,
    MOST,
    REMOTE_IMAGE,
    SCRIPT,
    TEMPLATER,
    TOO_LONG,
    WIDGET,
    active,
    added,
)

ACTIVE = [
    (REMOTE_IMAGE, "![](http://host/x.png)"),
    (REMOTE_IMAGE, "![x](HTTPS://host/x.png 'title')"),
    (REMOTE_IMAGE, "![](//host/x)"),
    (REMOTE_IMAGE, "![](\\\\host\\x)"),
    (REMOTE_IMAGE, "![](/\\host/x)"),
    (REMOTE_IMAGE, "![]( <http://host/x> )"),
    (REMOTE_IMAGE, "![](\nhttp://host/x\n)"),
    (REMOTE_IMAGE, "![two\nlines](http://host/x)"),
    (REMOTE_IMAGE, "![a [b] c](http://host/x)"),
    (REMOTE_IMAGE, "![a `]` c](http://host/x)"),
    (REMOTE_IMAGE, "[![](http://host/x)](note.md)"),
    (REMOTE_IMAGE, "![100](https://www.youtube.com/watch?v=1)"),
    (REMOTE_IMAGE, "![](http:host/x)"),
    (REMOTE_IMAGE, "![](app://local/x)"),
    (REMOTE_IMAGE, "![](file:///etc/passwd)"),
    (REMOTE_IMAGE, "![][ref]\n\n[ref]: http://host/x"),
    (REMOTE_IMAGE, "![ref]\n\n[REF]: <//host/x> 'title'"),
    (REMOTE_IMAGE, "![Ref][]\n\n> [ref]:\n> http://host/x"),
    (REMOTE_IMAGE, "![](&#104;ttp://host/x)"),
    (REMOTE_IMAGE, "![](&#x2f;&sol;host/x)"),
    (REMOTE_IMAGE, "![](h\u200bttp://host/x)"),
    (REMOTE_IMAGE, "!\u200b[](http://host/x)"),
    (REMOTE_IMAGE, "![\u202e](http://host/x)"),
    (REMOTE_IMAGE, "![](\uff48ttp://host/x)"),
    (REMOTE_IMAGE, "!%%%%[](http://host/x)"),
    (REMOTE_IMAGE, "![[http://host/x.png]]"),
    (REMOTE_IMAGE, "![[ //host/x|100]]"),
    (REMOTE_IMAGE, "> - ![](http://host/x)"),
    (REMOTE_IMAGE, "| a |\n| - |\n| ![](http://host/x) |"),
    (REMOTE_IMAGE, "---\nbanner: https://host/x.png\n---\n"),
    (REMOTE_IMAGE, "---\ncover:\n  - https://host/x.png\n---\n"),
    (HTML, "<img src=x.png>"),
    (HTML, "<IMG SRC='//host/x'>"),
    (HTML, '<img\nsrcset="//host/x 2x">'),
    (HTML, '<img alt=">" src="//host/x">'),
    (HTML, "<img/src=//host/x>"),
    (HTML, "<picture><source srcset=//host/x></picture>"),
    (HTML, "<svg><image href=//host/x /></svg>"),
    (HTML, "<svg/onload=alert(1)>"),
    (HTML, "<iframe src=x></iframe>"),
    (HTML, "<\u200biframe src=x>"),
    (HTML, "<iframe"),
    (HTML, "<script>alert(1)</script>"),
    (HTML, "<ScRiPt\n>alert(1)</script>"),
    (HTML, "<video poster=//host/x>"),
    (HTML, "<embed src=x>"),
    (HTML, "<object data=x>"),
    (HTML, "<link rel=stylesheet href=//host/x>"),
    (HTML, "<meta http-equiv=refresh content=0>"),
    (HTML, "<form action=//host><input></form>"),
    (HTML, "<p onclick=alert(1)>x</p>"),
    (HTML, '<p title=">" onmouseover = alert(1)>x</p>'),
    (HTML, '<p title="<" onmouseover="alert(1)">x</p>'),
    (HTML, "<b/onclick=alert(1)>x</b>"),
    (HTML, "<table background='//host/x'>"),
    (HTML, "<!-- x --><iframe src=x><!-- y -->"),
    (HTML, "%% <iframe src=x> %%"),
    (HTML, "&lt;iframe src=x&gt;"),
    (HTML, "\\<iframe src=x>"),
    (HTML, "```html\n<iframe src=x>\n```"),
    (CSS, "<p style='background: url(//host/x)'>"),
    (CSS, "<style>@import '//host/x'</style>"),
    (DATAVIEW, "```dataviewjs\ndv.el('b', 1)\n```"),
    (DATAVIEW, "~~~DataviewJS\nx\n~~~"),
    (DATAVIEW, "> - ```dataviewjs\n>   x\n>   ```"),
    (DATAVIEW, "````md\n```dataviewjs\nx\n```\n````"),
    (DATAVIEW, "```dataview&#106;s\nx\n```"),
    (DATAVIEW, "``` {.dataviewjs}\nx\n```"),
    (DATAVIEW, "It is `$= dv.current().x`."),
    (DATAVIEW, "It is `` $=dv.current().x``."),
    (SCRIPT, "```js-engine\nx\n```"),
    (SCRIPT, "```js\\-engine\nx\n```"),
    (SCRIPT, "```run-shell\nrm\n```"),
    (SCRIPT, "```datacorejsx\nx\n```"),
    (SCRIPT, "```button\nname x\n```"),
    (SCRIPT, "```meta-bind-button\nlabel: x\n```"),
    (SCRIPT, "```tasks\nfilter by function task.x\n```"),
    (SCRIPT, "```leaflet\nimage: x\n```"),
    (TEMPLATER, "<% tp.web.request('http://host') %>"),
    (TEMPLATER, "<%*\nx\n%>"),
    (TEMPLATER, "`<% x %>`"),
    (WIDGET, "`BUTTON[send]`"),
    (WIDGET, "`VIEW[{x}]`"),
    (WIDGET, "`button-send`"),
    (EXCALIDRAW, "---\nexcalidraw-plugin: parsed\n---\n"),
    (EXCALIDRAW, "---\nexcalidraw-onload-script: x\n---\n"),
    (EXCALIDRAW, "```excalidraw\nx\n```"),
    (LINK, "[x](obsidian://open?vault=x)"),
    (LINK, "[x](OBSIDIAN://open)"),
    (LINK, "obsidian://advanced-uri?commandid=x"),
    (LINK, "<obsidian://open>"),
    (LINK, "[x](javascript:alert(1))"),
    (LINK, "[x](java&#x0A;script:alert(1))"),
    (LINK, "[x](&#1;javascript&colon;alert(1))"),
    (LINK, "[x][y]\n\n[y]: javascript:alert(1)"),
    (LINK, "<a href='java\tscript:alert(1)'>x</a>"),
    (LINK, "<a href=vbscript:x>x</a>"),
    (LINK, "[x](file:///etc/passwd)"),
    (LINK, "[x](data:text/html;base64,xxxx)"),
    (LINK, "[x](data:,x)"),
    (LINK, "[x](vscode://file/x)"),
    (LINK, "[x](shortcuts://run-shortcut?name=x)"),
    (LINK, "---\nurl: obsidian://open\n---\n"),
    (LINK, "$\\href{javascript:alert(1)}{x}$"),
    (KIND, "---\nkind: cron\n---\n"),
    (KIND, "---\r\nKind : cron\r\n---\r\n"),
    (KIND, "\ufeff---\n'kind': cron\n---\n"),
    (KIND, '---\n"\\u006bind": cron\n---\n'),
    (KIND, "---\n{a: 1, kind: cron}\n---\n"),
    (KIND, "---\nkind: cron\n"),
    (KIND, "---\n\uff4bind: cron\n---\n"),
]


@pytest.mark.parametrize(("kind", "text"), ACTIVE)
def test_active_content_is_found_however_it_is_written(kind: str, text: str) -> None:
    assert kind in active(text)
    assert kind in added("", f"{text}\n")
    prose = "# Garden\n\nThe peas came up.\n"
    if not text.startswith(("---", "\ufeff")):
        assert kind in added(prose, f"{prose}\n{text}\n\nAnd the beans.\n")


PLAIN = [
    "",
    "# Garden\n\nThe *peas* came up, see [[Beans|the beans]] and ![[peas.png|300]].\n",
    "[shop](https://shop.example.org/peas?x=1) and <https://example.org> and https://example.org",
    "![peas](attachments/peas.png) from [the shop](https://shop.example.org)",
    "![[peas.png]] https://example.org/x",
    "[mail](mailto:a@example.org) [call](tel:+491)",
    "[x][shop]\n\n[shop]: https://shop.example.org",
    "A claim.[^1]\n\n[^1]: Note: by hand, see https://example.org",
    "data: three rows\nfile: notes\njavascript: the good parts\nobsidian: the app",
    "```python\nprint('x')\n```\n\n```mermaid\ngraph TD\n```\n\n```dataview\nLIST FROM #peas\n```",
    "```tasks\nnot done\ndue before tomorrow\n```",
    "<details><summary>More</summary>\n<b>peas</b><br>\n</details>\n\n<span style='color: red'>x</span>",
    "List<String> and a < b and <name> and x <- y",
    "It costs `$3` and `x = 1`; `on = 2`",
    "---\ntags: [peas]\nkindness: high\ncover: '[[peas.png]]'\ndate: 2026-01-01\n---\n\nkind: sweet\n",
    "- [ ] a task ([[Peas]]) 📅 2026-01-01\n- [x] done\n\n> [!note] A callout\n> text",
    "| a | b |\n| - | - |\n| [[x\\|y]] | `z` |",
    "Ratio 16:9 at 10:30, C:\\Users\\hana, 50 % of 100 %",
    "[[2026: plans]] and ![[Book: a title.png]]",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_notes_have_none(text: str) -> None:
    assert active(text) == ()
    assert added(None, text) == ()


def test_what_was_there_before_is_not_blamed_on_an_edit_beside_it() -> None:
    before = "\n\n".join(text for _, text in ACTIVE if not text.startswith(("---", "\ufeff")))
    assert len(active(before)) >= 9
    assert added(before, f"New first line.\n\n{before}\n\nA new last line.") == ()


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (REMOTE_IMAGE, "![](http://a/x)", "![](http://a/x) ![](http://b/x)"),
        (REMOTE_IMAGE, "![](http://a/x)", "![](http://b/x)"),
        (REMOTE_IMAGE, "![][a]\n\n[a]: x.png", "![][a]\n\n[a]: http://b/x"),
        (DATAVIEW, "```dataviewjs\na\n```", "```dataviewjs\na\nb\n```"),
        (HTML, "<script>\na\n\nb\n</script>", "<script>\na\n\nc\n</script>"),
        (TEMPLATER, "<%* a\n\nb %>", "<%* a\n\nc %>"),
        (LINK, "[x](obsidian://a)", "[x](obsidian://b)"),
        (KIND, "---\nkind: cron\nschedule: '@daily'\n---\n", "---\nkind: cron\nschedule: '@hourly'\n---\n"),
    ],
)
def test_more_or_other_of_a_kind_that_was_there_is_new(kind: str, before: str, after: str) -> None:
    assert kind in added(before, after)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (HTML, "```\n<iframe src=x>\n```", "<iframe src=x>"),
        (HTML, "`<iframe src=x>`", "<iframe src=x>"),
        (HTML, "<!-- <iframe src=x> -->", "<iframe src=x>"),
        (REMOTE_IMAGE, "%% ![](http://a/x) %%", "![](http://a/x)"),
        (DATAVIEW, "````\n```dataviewjs\na\n```\n````", "```dataviewjs\na\n```"),
        (DATAVIEW, "<!--\n```dataviewjs\na\n```\n-->", "```dataviewjs\na\n```"),
    ],
)
def test_what_is_taken_out_of_code_or_a_comment_is_new(kind: str, before: str, after: str) -> None:
    assert kind in added(before, after)


def test_taking_active_content_out_adds_none() -> None:
    assert added("![](http://a/x)\n\n<iframe src=x>", "![](http://a/x)") == ()


def test_what_is_too_much_to_look_through_counts_as_active() -> None:
    assert active("x" * (LONGEST + 1)) == (TOO_LONG,)
    assert active("<img src=x.png>\n\n" * (MOST + 1)) == (TOO_LONG,)


def test_an_image_in_a_note_that_is_too_long_for_the_parser_is_found() -> None:
    prose = "The peas came up.\n\n" * 20_000
    assert active(prose) == ()
    assert active(f"{prose}![a `]` c](http://host/x)\n\n{prose}") == (REMOTE_IMAGE,)


@pytest.mark.parametrize(
    "piece",
    [
        *("`", "~", "<!--", "%", "\n", "[", "![", "![[", "](", "[a]:\n", "> ", "<a ", "<img ", "&#", " "),
        *("---\n", " onabc", "`\n", "a", "href=", "a+", "<", " src=", "()", "![](x.png) ", "a.:", "- "),
        *("    ", "*a "),
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    for start in ("", "<a>", "---\nbanner: x\n", "[]("):
        begun = time.process_time()
        active(start + piece * (30_000 // len(piece)))
        assert time.process_time() - begun < 3
