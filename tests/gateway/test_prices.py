import tomllib
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultloop.gateway.prices import price
from vaultloop.runners.claude.flags import DEFAULT_MODEL
from vaultloop.state.ledger import FIGURES, NANO, Usage

COUNTS = st.integers(0, 50_000_000)
USAGES = st.builds(Usage, **dict.fromkeys(FIGURES, COUNTS))


def listed() -> list[str]:
    content = tomllib.loads(files("vaultloop.gateway").joinpath("prices.toml").read_text())
    return [name for item in content["prices"] for name in item["models"]]


def test_the_price_of_the_default_model_is_known() -> None:
    assert price(DEFAULT_MODEL) is not None


@pytest.mark.parametrize("name", ["claude-opus-5-5", "claude-opus-4-5-20251101", "claude-3-5-haiku-latest"])
def test_a_name_counts_with_its_date_and_as_the_latest(name: str) -> None:
    assert price(name) is not None


def test_of_two_names_that_fit_the_longer_counts() -> None:
    opus_4, opus_4_5 = price("claude-opus-4-20250514"), price("claude-opus-4-5-20251101")
    assert opus_4 is not None
    assert opus_4_5 is not None
    assert opus_4.rates.input == 3 * opus_4_5.rates.input


@pytest.mark.parametrize(
    "name", ["claude-opus-9", "claude-opus-5-5-fast", "claude-opus-5-5[1m]", "gpt-6", ""]
)
def test_the_price_of_another_model_is_not_known(name: str) -> None:
    assert price(name) is None


def test_every_model_is_on_the_list_once_and_has_a_date_of_its_own() -> None:
    assert len(set(listed())) == len(listed())
    text = files("vaultloop.gateway").joinpath("prices.toml").read_text()
    assert date(2026, 11, 22).isoformat() in text


@given(st.sampled_from(listed()), USAGES, st.booleans())
def test_a_sum_is_exact_and_never_below_the_price_list(name: str, usage: Usage, inference_us: bool) -> None:
    content = tomllib.loads(
        files("vaultloop.gateway").joinpath("prices.toml").read_text(), parse_float=Decimal
    )
    item = next(item for item in content["prices"] if name in item["models"])
    if "long_prompt" in item and usage.prompt_tokens > item["long_prompt"]["above"]:
        item = item["long_prompt"]
    dollars = (
        sum(
            Fraction(Decimal(item[rate])) * count
            for rate, count in (
                ("input", usage.input_tokens),
                ("output", usage.output_tokens),
                ("cache_write_5m", usage.cache_write_5m_tokens),
                ("cache_write_1h", usage.cache_write_1h_tokens),
                ("cache_read", usage.cache_read_tokens),
            )
        )
        / 1_000_000
    )
    if inference_us:
        dollars = dollars * content["inference_us_percent"] / 100
    dollars += Fraction(content["web_search"] * usage.web_searches, 1000)
    known = price(name)
    assert known is not None
    assert 0 <= known.of(usage, inference_us=inference_us) - dollars * NANO < 1


@given(st.sampled_from(listed()), USAGES, USAGES)
def test_more_never_costs_less(name: str, one: Usage, more: Usage) -> None:
    known = price(name)
    assert known is not None
    both = Usage(**{figure: getattr(one, figure) + getattr(more, figure) for figure in FIGURES})
    assert known.of(both) >= known.of(one)
