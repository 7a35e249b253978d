"""Random arrays: reproducible, independent of chunks, of the right distribution."""

from __future__ import annotations

import numpy as np
import pantile.array as da
import pytest

METHODS = {
    "random": ((), 0.5, 1 / 12),
    "uniform": ((2, 5), 3.5, 9 / 12),
    "standard_normal": ((), 0, 1),
    "normal": ((3, 2), 3, 4),
    "standard_exponential": ((), 1, 1),
    "exponential": ((2,), 2, 4),
    "standard_gamma": ((3,), 3, 3),
    "gamma": ((3, 2), 6, 12),
    "beta": ((2, 3), 0.4, 0.04),
    "chisquare": ((4,), 4, 8),
    "f": ((5, 12), 1.2, None),
    "gumbel": ((0, 1), 0.5772, np.pi**2 / 6),
    "laplace": ((1, 2), 1, 8),
    "logistic": ((1, 1), 1, np.pi**2 / 3),
    "lognormal": ((0, 0.5), np.exp(0.125), None),
    "pareto": ((5,), 0.25, None),
    "power": ((3,), 0.75, None),
    "rayleigh": ((1,), np.sqrt(np.pi / 2), None),
    "standard_t": ((9,), 0, 9 / 7),
    "triangular": ((0, 1, 2), 1, 1 / 6),
    "vonmises": ((0, 4), 0, None),
    "wald": ((2, 8), 2, 1),
    "weibull": ((1,), 1, 1),
    "integers": ((0, 10), 4.5, 8.25),
    "poisson": ((4,), 4, 4),
    "binomial": ((10, 0.3), 3, 2.1),
    "geometric": ((0.25,), 4, 12),
    "negative_binomial": ((5, 0.5), 5, 10),
}


@pytest.mark.parametrize("name", METHODS)
def test_distribution(name) -> None:
    args, mean, variance = METHODS[name]
    x = getattr(da.random.default_rng(11), name)(*args, size=(200, 200), chunks=(70, 90)).compute()
    again = getattr(da.random.default_rng(11), name)(*args, size=(200, 200), chunks=-1).compute()
    np.testing.assert_array_equal(x, again)
    assert x.dtype == getattr(np.random.default_rng(0), name)(*args, size=1).dtype
    assert x.mean() == pytest.approx(mean, abs=6 * x.std() / 200)
    if variance is not None:
        assert x.var() == pytest.approx(variance, rel=0.15)


def test_calls_and_seeds_differ() -> None:
    rng = da.random.default_rng(1)
    first, second = rng.random(100).compute(), rng.random(100).compute()
    other = da.random.default_rng(2).random(100).compute()
    child = da.random.default_rng(1).spawn(1)[0].random(100).compute()
    for x in (second, other, child):
        assert (x != first).all()
    np.testing.assert_array_equal(
        da.random.default_rng([1, 2]).random(3).compute(), da.random.default_rng((1, 2)).random(3).compute()
    )
    assert da.random.default_rng(rng) is rng
    assert (
        da.random.default_rng().random(50).compute() != da.random.default_rng().random(50).compute()
    ).all()


def test_slices_of_random_arrays_agree_with_the_whole() -> None:
    x = da.random.default_rng(3).normal(size=(50, 40), chunks=20)
    np.testing.assert_array_equal(x[13:37, 5].compute(), x.compute()[13:37, 5])


def test_arrays_of_locations_and_scales() -> None:
    rng = da.random.default_rng(4)
    loc = np.array([0.0, 100.0, -100.0])
    x = rng.normal(da.from_array(loc, chunks=2), 0.1, size=(1000, 3)).compute()
    np.testing.assert_allclose(x.mean(axis=0), loc, atol=0.05)
    assert rng.exponential(loc + 101).shape == (3,)
    assert rng.uniform(loc, loc + 1, size=(5, 3)).shape == (5, 3)
    with pytest.raises(NotImplementedError, match="`lam` must be a single number"):
        rng.poisson(np.array([1.0, 2.0]))


def test_choice_and_permutation() -> None:
    rng = da.random.default_rng(5)
    population = np.array([10.0, 20.0, 30.0])
    assert set(rng.choice(population, 200, chunks=30).compute()) == {10.0, 20.0, 30.0}
    assert set(rng.choice(4, (10, 10)).compute().ravel()) == {0, 1, 2, 3}
    weighted = rng.choice(3, 3000, p=[0.0, 0.25, 0.75]).compute()
    assert np.bincount(weighted, minlength=3)[0] == 0
    assert abs((weighted == 2).mean() - 0.75) < 0.05
    assert sorted(rng.choice(50, 50, replace=False).compute()) == list(range(50))
    assert sorted(rng.permutation(100, chunks=30).compute()) == list(range(100))
    x = np.arange(12).reshape(6, 2)
    shuffled = rng.permutation(da.from_array(x, chunks=2)).compute()
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, x))
    with pytest.raises(ValueError, match="larger sample than population"):
        rng.choice(3, 4, replace=False)
    with pytest.raises(ValueError, match="same size"):
        rng.choice(3, 4, p=[0.5, 0.5])


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("normal", (0, -1)),
        ("poisson", (-1,)),
        ("binomial", (5, 1.5)),
        ("uniform", (3, 2)),
        ("integers", (5, 5)),
        ("integers", (0, 300, 3, "u1")),
    ],
)
def test_bad_parameters(name, args) -> None:
    if name == "uniform":
        expected: type[Exception] = ValueError
    else:
        with pytest.raises(ValueError):
            getattr(np.random.default_rng(0), name)(*args)
        expected = ValueError
    with pytest.raises(expected):
        getattr(da.random.default_rng(0), name)(*args)


def test_dtypes() -> None:
    rng = da.random.default_rng(6)
    assert rng.random(3, dtype="f4").compute().dtype == np.float32
    assert rng.integers(0, 2, 3, dtype=bool).compute().dtype == bool
    assert rng.integers(-5, 5, 100, dtype="i1", endpoint=True).compute().max() <= 5
    with pytest.raises((TypeError, ValueError)):
        rng.random(3, dtype="i4")


def test_bad_seed() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        da.random.default_rng(-1)
