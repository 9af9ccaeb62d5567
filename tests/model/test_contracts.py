"""Every method of the room keeps the promises of its kind."""

import pytest

from descend.model import AxisSearch, QuasiNewton, Relay, SurrogateCMAES
from descend.testing import search

METHODS = (AxisSearch(), QuasiNewton(), Relay(), SurrogateCMAES())


def named(part):
    return part.__name__ if callable(part) else repr(part)


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=named)
@pytest.mark.parametrize("method", METHODS, ids=named)
def test_contract(method, contract):
    contract(method)
