from support.versions import agent, human
from vaultloop.vault.merge.blocks import blocks, lines_of
from vaultloop.vault.merge.callout import content, folded, is_folded, kept, title, with_folds


def test_a_callout_names_who_lost_when_and_which_version() -> None:
    version = agent("x\n")
    assert title(version) == f"agent, 2026-11-22, {version.blob[:6]}"
    assert title(human("x\n", name="Ada\n> [!bug] <b>")) == f"Ada !bug b, 2026-11-22, {version.blob[:6]}"


def test_what_is_folded_comes_out_as_it_went_in() -> None:
    lines = ("```python", "x", "", "```", "> [!note] a", "> b", "  - c", ">d")
    fold = folded("agent", lines)
    assert is_folded(fold)
    assert content(fold) == lines
    assert blocks(fold.split("\n")) == [fold]


def test_a_callout_stands_below_the_whole_list_and_apart_from_what_follows() -> None:
    parts = ["- a", "- b", "text", "", "# H"]
    found = with_folds(parts, [(0, folded("x", ["lost"]))])
    assert found == ["- a", "- b", "text", "", folded("x", ["lost"]), "", "", "# H"] or found == [
        "- a",
        "- b",
        "text",
        "",
        folded("x", ["lost"]),
        "",
        "# H",
    ]


def test_the_same_text_is_folded_once() -> None:
    once = with_folds(["a", ""], [(0, folded("x, 1", ["lost", "too"]))])
    assert with_folds(blocks(lines_of(once)), [(0, folded("y, 2", ["lost", "too"]))]) == once


def test_text_within_a_callout_within_a_callout_is_known_too() -> None:
    nested = folded("x", folded("y", ["lost"]).split("\n"))
    assert "lost" in kept(nested.split("\n"))
    assert with_folds([nested], [(0, folded("z", ["lost"]))]) == [nested]


def test_a_callout_never_stands_in_a_code_fence() -> None:
    fold = folded("x", ["lost"])
    whole = ["```", "a", "```"]
    assert with_folds(blocks(whole), [(0, fold)])[0] == "\n".join(whole)
    unclosed = with_folds(["text", *blocks(["```", "a"])], [(1, fold)])
    assert unclosed.index(fold) < unclosed.index("```\na")
