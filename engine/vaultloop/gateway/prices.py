"""What a request costs: the price list beside this file, and sums in billionths of a dollar."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from vaultloop.state.ledger import NANO, Usage

# What may follow a listed name: the date of a model, or that it is the newest one.
_EDITION = re.compile(r"(-\d{8}|-latest)?")

# A dollar for a million tokens is a thousand billionths for one token.
_PER_TOKEN = NANO // 1_000_000
_PER_SEARCH = NANO // 1_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Billionths of a dollar for one token of each kind."""

    input: int
    output: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs.

    Attributes:
        web_search: billionths of a dollar for one search.
        above, long_prompt: the rates of requests whose prompt is longer than that many tokens, where they
            differ.
        inference_us_percent: of the rates, what tokens cost that must be made in the United States.
    """

    rates: Rates
    web_search: int
    inference_us_percent: int = 100
    above: int | None = None
    long_prompt: Rates | None = None

    def of(self, usage: Usage, *, inference_us: bool = False) -> int:
        """What `usage` costs, in billionths of a dollar, rounded up."""
        rates = self.rates
        if self.long_prompt is not None and self.above is not None and usage.prompt_tokens > self.above:
            rates = self.long_prompt
        tokens = (
            usage.input_tokens * rates.input
            + usage.output_tokens * rates.output
            + usage.cache_write_5m_tokens * rates.cache_write_5m
            + usage.cache_write_1h_tokens * rates.cache_write_1h
            + usage.cache_read_tokens * rates.cache_read
        )
        percent = self.inference_us_percent if inference_us else 100
        return -(-tokens * percent // 100) + usage.web_searches * self.web_search


def price(model: str) -> Price | None:
    """What `model` costs; None if it is not on the list.

    A listed name counts with a date too; of several the longest. Other names that begin alike are other
    models.
    """
    listed = _listed()
    fitting = [name for name in listed if model.startswith(name) and _EDITION.fullmatch(model[len(name) :])]
    return listed[max(fitting, key=len)] if fitting else None


@cache
def _listed() -> Mapping[str, Price]:
    text = files("vaultloop.gateway").joinpath("prices.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text, parse_float=Decimal)
    return {name: _price(item, content) for item in content["prices"] for name in item["models"]}


def _price(item: Mapping[str, Any], content: Mapping[str, Any]) -> Price:
    long_prompt = item.get("long_prompt")
    return Price(
        rates=_rates(item),
        web_search=_whole(content["web_search"], _PER_SEARCH),
        inference_us_percent=content["inference_us_percent"],
        above=long_prompt["above"] if long_prompt else None,
        long_prompt=_rates(long_prompt) if long_prompt else None,
    )


def _rates(item: Mapping[str, Any]) -> Rates:
    return Rates(**{name: _whole(item[name], _PER_TOKEN) for name in Rates.__dataclass_fields__})


def _whole(usd: int | Decimal, unit: int) -> int:
    """A price as a whole number of billionths; a finer one is a mistake in the list."""
    exact = Decimal(usd) * unit
    assert exact == int(exact), f"{usd} is finer than a billionth of a dollar"
    return int(exact)
