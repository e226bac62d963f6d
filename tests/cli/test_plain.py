from vaultloop.cli.plain import plain


def test_what_drives_a_terminal_is_left_out_and_lines_and_tabs_stay() -> None:
    assert plain("\x1b[31mred\x1b[0m\tone\r\ntwo\rthree\x00\x07\x7f\x9b2J") == "[31mred[0m\tone\ntwothree2J"


def test_letters_of_any_language_stay() -> None:
    assert (
        plain("für Großmutter \N{ROSE} \N{HIRAGANA LETTER A}")
        == "für Großmutter \N{ROSE} \N{HIRAGANA LETTER A}"
    )


def test_what_cannot_be_written_is_replaced() -> None:
    assert plain("caf\udce9") == "caf?"
