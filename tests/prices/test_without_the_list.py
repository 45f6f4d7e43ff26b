"""Without genai-prices: contracts price as ever, and the list's absence names what is missing."""

import sys

import pytest

from stiggctl.prices import ContractPrice, PriceNotFound, Usage, cost_of, estimate


@pytest.fixture(autouse=True)
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "genai_prices"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)


def test_a_contract_needs_no_list() -> None:
    agreed = [ContractPrice(model="gpt-5", per_million={"input": 1, "output": 2})]
    assert cost_of(Usage(input=10**6, model="gpt-5"), contracts=agreed).amount == 1
    assert estimate("gpt-5", 10**6, 10**6, contracts=agreed).amount == 3


def test_a_list_price_names_the_extra() -> None:
    """LP1."""
    with pytest.raises(PriceNotFound, match=r"stiggctl\[prices\]"):
        cost_of(Usage(input=1, model="gpt-5"))
    with pytest.raises(PriceNotFound, match=r"stiggctl\[prices\]"):
        estimate("gpt-5", 1, 1)
