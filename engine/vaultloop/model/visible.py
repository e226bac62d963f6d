"""Texts of others, shown so that they cannot look like what they are not."""

import unicodedata

# Of Unicode's categories, what no line shows: control, format, lone surrogates, private use, unassigned,
# and the separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters that look like a blank, and marks without a shape.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# They choose how the letter before them is drawn; in a row they can carry a hidden text.
_SELECTORS = (("\ufe00", "\ufe0f"), ("\U000e0100", "\U000e01ef"))


def visible(line: str) -> str:
    """One line in which letters are named that show nothing, break it, or turn the direction of others.

    What the owner consents to was written by somebody else: nothing of it may look like our own words.
    """
    return "".join(letter if _shows(letter) else f"<U+{ord(letter):04X}>" for letter in line)


def _shows(letter: str) -> bool:
    if letter.isascii():
        return letter == "\t" or letter.isprintable()
    if letter in _BLANK or any(first <= letter <= last for first, last in _SELECTORS):
        return False
    return unicodedata.category(letter) not in _UNSEEN
