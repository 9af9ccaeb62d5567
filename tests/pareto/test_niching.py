"""NSGA-III's niches: directions that have fewest points come first, and of a niche its nearest point."""

import numpy as np

from descend.key import Key
from descend.pareto.nsga3 import _nearest, _niching


def test_directions_fill_up_evenly_the_nearest_first() -> None:
    niche = np.array([0, 0, 0, 0, 1, 1, 1])  # the first one is in already
    far = np.array([0.0, 0.3, 0.1, 0.2, 0.9, 0.7, 0.8])
    for seed in range(5):
        # places are counted among the last front: of direction 0 the second, of direction 1 the two nearest
        assert _niching(niche, far, 1, 3, Key(seed)).tolist() == [1, 4, 5]


def test_a_point_belongs_to_the_ray_it_stands_nearest_to() -> None:
    niche, far = _nearest(np.array([[2.0, 0.0], [3.0, 3.0], [1.0, 2.0]]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert niche.tolist() == [0, 1, 1]
    np.testing.assert_allclose(far, [0.0, 0.0, 0.5], atol=1e-12)
