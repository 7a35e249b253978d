"""Random arrays: reproducible, independent of chunks, of the right distribution."""

from __future__ import annotations

import math

import numpy as np
import pantile.array as da
import pytest

from tests.python.helpers import same_error

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


# Each with two sets of parameters.
VARIED = {
    "gamma": {"shape": (0.5, 30.0), "scale": (1.0, 2.0)},
    "standard_gamma": {"shape": (2.0, 0.1)},
    "poisson": {"lam": (3.0, 1e6)},
    "integers": {"low": (-5, 100), "high": (7, 2**40)},
    "binomial": {"n": (10, 10**6), "p": (0.5, 0.75)},
    "negative_binomial": {"n": (4.0, 9.0), "p": (0.5, 0.25)},
    "geometric": {"p": (1.0, 0.25)},
    "beta": {"a": (0.5, 3.0), "b": (2.0, 1.0)},
    "chisquare": {"df": (1.0, 5.0)},
    "f": {"dfnum": (3.0, 4.0), "dfden": (8.0, 9.0)},
    "standard_t": {"df": (3.0, 40.0)},
    "triangular": {"left": (0.0, 1.0), "mode": (0.5, 4.0), "right": (2.0, 5.0)},
    "vonmises": {"mu": (0.0, 1.0), "kappa": (0.5, 3.0)},
    "wald": {"mean": (1.0, 2.0), "scale": (3.0, 4.0)},
    "weibull": {"a": (1.5, 2.5)},
    "pareto": {"a": (3.0, 4.0)},
    "power": {"a": (3.0, 0.5)},
    "normal": {"loc": (0.0, 9.0), "scale": (1.0, 0.5)},
    "uniform": {"low": (0.0, 9.0), "high": (1.0, 9.5)},
    "exponential": {"scale": (1.0, 8.0)},
    "gumbel": {"loc": (0.0, 9.0), "scale": (1.0, 0.5)},
    "lognormal": {"mean": (0.0, 1.0), "sigma": (1.0, 0.5)},
    "rayleigh": {"scale": (1.0, 0.5)},
}


@pytest.mark.parametrize("name", VARIED)
def test_array_parameters_give_what_numbers_would(name) -> None:
    which = np.arange(7 * 10).reshape(7, 10) % 3 % 2
    parameters = {k: np.array(v)[which] for k, v in VARIED[name].items()}

    def draw(size, chunks, **parameters):
        return getattr(da.random.default_rng(1), name)(**parameters, size=size, chunks=chunks)

    plain = [draw((7, 10), 4, **{k: v[k_] for k, v in VARIED[name].items()}).compute() for k_ in (0, 1)]
    expected = np.where(which == 0, *plain)
    eager = draw((7, 10), 4, **parameters)
    assert eager.dtype == plain[0].dtype
    np.testing.assert_allclose(eager.compute(), expected, rtol=1e-13)
    # Neither chunks, nor laziness, nor the parameters' own chunks matter.
    lazy = {k: da.from_array(v, chunks=(3, 4)) for k, v in parameters.items()}
    np.testing.assert_array_equal(draw(None, (7, 3), **lazy).compute(), eager.compute())
    np.testing.assert_array_equal(eager[2:5, ::-2].compute(), eager.compute()[2:5, ::-2])


@pytest.mark.parametrize("name", ["poisson", "binomial"])
def test_middling_means_have_the_right_distribution(name) -> None:
    """Here the method is another one than for single numbers. Chi-square over the values against the exact weights."""
    count = 40_000
    # Neighbours differ, by nothing that shows.
    wobble = 1 + np.arange(count) % 7 * 1e-12
    rng = da.random.default_rng(11)
    if name == "poisson":
        x = rng.poisson(30.0 * wobble).compute()
        weights = np.array([math.exp(k * math.log(30) - 30 - math.lgamma(k + 1)) for k in range(90)])
    else:
        x = rng.binomial(60, 0.5 * wobble).compute()
        weights = np.array([math.comb(60, k) / 2.0**60 for k in range(61)])
    found = np.bincount(x, minlength=len(weights))[: len(weights)]
    large = weights * count > 10
    distance = ((found - count * weights)[large] ** 2 / (count * weights)[large]).sum()
    # Its mean is the number of bins; the seed is fixed, and six deviations are allowed.
    bins = int(large.sum())
    assert distance < bins + 6 * math.sqrt(2 * bins)
    assert found[large].sum() > 0.99 * count


def test_array_parameters_broadcast_as_numpys_do() -> None:
    ours, numpys = da.random.default_rng(0), np.random.default_rng(0)
    for make in (
        lambda rng: rng.poisson([1.0, 2.0], size=(4, 1, 2)),
        lambda rng: rng.gamma([[1.0], [2.0]], [1.0, 2.0, 3.0]),
        lambda rng: rng.normal(np.zeros((2, 1)), np.ones((1, 3))),
        lambda rng: rng.normal(np.zeros((2, 0))),
        lambda rng: rng.integers([3, 5], dtype="u1"),
        lambda rng: rng.integers(0, np.array([2**64 - 1], "u8"), dtype="u8", endpoint=True),
        lambda rng: rng.standard_gamma([5.5, 3], dtype="f4"),
        lambda rng: rng.binomial(np.array(5), [0.5, 0.25]),
    ):
        a, b = make(ours), make(numpys)
        assert (a.compute().shape, a.dtype) == (b.shape, b.dtype)
    x = ours.integers([0, 10], [[12], [14]], size=(3000, 2, 2), chunks=700).compute()
    np.testing.assert_array_equal(x.min(axis=0), [[0, 10], [0, 10]])
    np.testing.assert_array_equal(x.max(axis=0), [[11, 11], [13, 13]])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rng: rng.normal([0, 5], size=(3,)),
        lambda rng: rng.normal([0, 5], size=()),
        lambda rng: rng.poisson(np.zeros((2, 1)), size=2),
        lambda rng: rng.poisson([1, -1]),
        lambda rng: rng.poisson([1.0, np.nan]),
        lambda rng: rng.gamma([1, -1]),
        lambda rng: rng.integers([0, 5], [3, 4]),
        lambda rng: rng.integers([0, 5], [3, 300], dtype="u1"),
        lambda rng: rng.normal([0, 5], [1, -1]),
        lambda rng: rng.uniform([5.0, 3.0], 4.0),
        lambda rng: rng.uniform([5.0, 3.0], [np.inf, 4.0]),
        lambda rng: rng.exponential([5.5, -0.0]),
        lambda rng: rng.lognormal([0, 5], [1, -6]),
        lambda rng: rng.poisson(np.array([1 + 2j])),
        lambda rng: rng.geometric([0.5, 1.5]),
    ],
)
def test_wrong_array_parameters(wrong) -> None:
    same_error(lambda: wrong(da.random.default_rng(0)).compute(), lambda: wrong(np.random.default_rng(0)))


def test_a_lazy_scale_is_checked_when_it_is_computed() -> None:
    rng = da.random.default_rng(0)
    with pytest.raises(ValueError, match="normal: scale < 0"):
        rng.normal(0.0, da.from_array(np.array([1.0, -1.0]))).compute()
    with pytest.raises(TypeError, match="whole ones"):
        rng.integers(da.ones(3))


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
