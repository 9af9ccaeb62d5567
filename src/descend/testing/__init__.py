"""The contract kit: what every part of descend promises, as plain functions that a test calls.

A contract takes a part and raises an AssertionError with a sentence where the promise is broken. `CONTRACTS` of each
module are those that hold for all parts of its kind:

>>> from descend.testing import transform
>>> from descend.transform import Adam
>>> for contract in transform.CONTRACTS:
...     contract(Adam())

In a test of a part of your own they are parameters::

    @pytest.mark.parametrize("contract", descend.testing.estimator.CONTRACTS, ids=lambda c: c.__name__)
    def test_mine_keeps(contract):
        contract(MyEstimator(radius=1e-3))

`parts` has an example of every part of descend, to try a new one with; `objectives` has functions that try it hard.
"""

from descend.testing import estimator, method, objectives, oracle, parts, step, transform

__all__ = ["estimator", "method", "objectives", "oracle", "parts", "step", "transform"]
