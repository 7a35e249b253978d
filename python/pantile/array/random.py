"""Random numbers: `default_rng` and its `Generator`.

A number depends on the seed, the call, and its position in the array, never on the chunks, the schedule or the number of
threads. The streams are not NumPy's: distributions are the same, the numbers are others.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pantile import _native
from pantile._native import Expr
from pantile.array.chunking import axis_index, normalize, shape_argument
from pantile.array.core import Array, as_expr, dtype_text, known_shape
from pantile.array.creation import full
from pantile.array.elementwise import call

__all__ = ["Generator", "default_rng"]


def _words(value: Any) -> list[int]:
    """The 32-bit words of a seed, least significant first."""
    if isinstance(value, np.random.SeedSequence):
        return [int(w) for w in value.generate_state(4)]
    if isinstance(value, (np.ndarray, list, tuple)):
        return [w for v in value for w in _words(v)]
    number = operator.index(value)
    if number < 0:
        raise ValueError(f"a seed is a non-negative integer, not {number}")
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words


def default_rng(seed: Any = None) -> Generator:
    """A generator of random arrays.

    Parameters
    ----------
    seed : int, sequence of int, numpy.random.SeedSequence, Generator or None
        Equal seeds give equal numbers. None takes the operating system's entropy; a generator is returned as it is.

    Returns
    -------
    Generator
        With the methods of NumPy's generators.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.random.default_rng(42).normal(size=(1000, 1000), chunks=500)
    >>> bool((abs(x.mean()) < 0.01).compute())
    True
    """
    if isinstance(seed, Generator):
        return seed
    if seed is None:
        import secrets

        seed = secrets.randbits(128)
    return Generator(_native.random_key(_words(seed)))


def _is_array(value: Any) -> bool:
    return isinstance(value, Array) or np.ndim(value) > 0


# What NumPy's messages call the scale.
_SCALES = {"uniform": "high - low", "lognormal": "sigma"}


def _number(value: Any, whole: bool) -> Any:
    """A parameter as the engine takes it: a number, or an array's expression."""
    if not _is_array(value):
        return _whole(value) if whole else float(value)
    if isinstance(value, Array):
        if value.dtype.kind not in ("iub" if whole else "iubf"):
            raise TypeError(f"parameters are real numbers{', here whole ones' * whole}, not {value.dtype}")
        return value._expr
    array = np.asarray(value)
    if array.dtype.kind not in "iubf":
        raise TypeError(f"parameters are real numbers, not {array.dtype}")
    if whole and array.dtype.kind == "f":
        rounded = array.astype(np.int64)
        if not np.array_equal(rounded, array):
            raise TypeError(
                f"bounds and numbers of trials are integers, not {array[rounded != array].flat[0]}"
            )
        array = rounded
    return as_expr(array)


def _result_shape(size: Any, *parameters: Any) -> tuple[int, ...]:
    """The shape of samples: that of the parameters together, or `size`, to which they broadcast."""
    shapes: list[Any] = [
        v.shape if isinstance(v, Array) else np.shape(v) for v in parameters if v is not None
    ]
    if any(n is None for shape in shapes for n in shape):
        raise ValueError("parameters of unknown length: call compute_chunk_sizes() first")
    together = np.broadcast_shapes(*shapes)
    if size is None:
        return together
    shape = shape_argument(size)
    if np.broadcast_shapes(together, shape) != shape:
        raise ValueError(
            f"Output size {shape} is not compatible with broadcast dimensions of inputs {together}."
        )
    return shape


def _not_negative(e: Expr, value: Any, message: str) -> Expr:
    """A scale, which is refused here if it is known to be negative, and when it is computed otherwise."""
    if isinstance(value, Array):
        return _native.random_not_negative(e, message)
    numbers = np.asarray(value, float)
    if np.any(np.signbit(numbers) & ~np.isnan(numbers)):
        raise ValueError(message)
    return e


class Generator:
    """Makes random arrays; `default_rng` makes one.

    Every method takes ``size`` (a shape; None for one number, or for the shape of array-valued parameters) and ``chunks``.

    Parameters may be arrays, NumPy's or lazy ones, which broadcast against each other and `size`. Locations and scales are
    applied in a kernel. Other array-valued parameters give each element a distribution of its own; where they repeat along the
    last axis that costs nothing, where neighbours differ it is far slower than NumPy's generator.

    Examples
    --------
    >>> import pantile.array as da
    >>> rng = da.random.default_rng(0)
    >>> rng.integers(0, 6, size=5, chunks=2).dtype
    dtype('int64')
    """

    def __init__(self, key: tuple[int, int, int]) -> None:
        self._key = key
        self._calls = 0
        self._children = 0

    def __repr__(self) -> str:
        return f"pantile.array.random.Generator<call {self._calls}>"

    def spawn(self, n_children: int) -> list[Generator]:
        """Generators whose numbers are unrelated to this one's.

        Parameters
        ----------
        n_children : int
            How many.

        Returns
        -------
        list of Generator
            The same ones for the same seed and the same number of earlier children.
        """
        first = self._children
        self._children += operator.index(n_children)
        return [Generator(_native.random_spawn(self._key, first + k)) for k in range(n_children)]

    def _next(self) -> tuple[int, int, int]:
        key = _native.random_child(self._key, self._calls)
        self._calls += 1
        return key

    def _draw(self, name: str, parameters: dict[str, Any], size: Any, chunks: Any, dtype: Any = "f8") -> Expr:
        shape = () if size is None else shape_argument(size)
        kind = np.dtype(dtype)
        return _native.random(
            name, parameters, dtype_text(kind), self._next(), normalize(chunks, shape, kind)
        )

    def _simple(self, name: str, size: Any, chunks: Any, dtype: Any = None, **parameters: Any) -> Array:
        """A distribution by its parameters. Where one is an array, each element has a distribution of its own."""
        if dtype is None:
            counts = ("poisson", "binomial", "geometric", "negative_binomial")
            dtype = "i8" if name in counts else "f8"
        plain = {
            k: _number(v, name == "integers" or (name, k) == ("binomial", "n")) for k, v in parameters.items()
        }
        if any(isinstance(v, Expr) for v in plain.values()):
            size = _result_shape(size, *parameters.values())
        return Array(self._draw(name, plain, size, chunks, dtype))

    def _scaled(
        self, name: str, standard: str, extra: dict[str, Any], loc: Any, scale: Any, size: Any, chunks: Any
    ) -> Array:
        """``loc + scale * standard``, where location or scale is an array."""
        size = _result_shape(size, loc, scale)
        e = self._draw(standard, extra, size, chunks)
        for word, value in (("multiply", scale), ("add", loc)):
            if value is not None:
                v = as_expr(value)
                if word == "multiply":
                    v = _not_negative(v, value, f"{name}: {_SCALES.get(name, 'scale')} < 0")
                e = call(word, e, v)
        return Array(e)

    # ---- continuous ----

    def random(self, size: Any = None, dtype: Any = float, *, chunks: Any = "auto") -> Array:
        """Uniform in [0, 1).

        Parameters
        ----------
        size : int or tuple of int, optional
            The shape.
        dtype : {float64, float32}
            The dtype.
        chunks : chunks
            How to cut it.

        Returns
        -------
        Array
            Lazy.
        """
        return Array(self._draw("random", {}, size, chunks, dtype))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Uniform in [low, high)."""
        if _is_array(low) or _is_array(high):
            if isinstance(low, Array) or isinstance(high, Array):
                width: Any = Array(call("subtract", as_expr(high), as_expr(low)))
            else:
                width = np.subtract(high, low, dtype=float)
                if not np.isfinite(width).all():
                    raise OverflowError("Range exceeds valid bounds")
            return self._scaled("uniform", "random", {}, low, width, size, chunks)
        return self._simple("uniform", size, chunks, low=low, high=high)

    def standard_normal(self, size: Any = None, dtype: Any = float, *, chunks: Any = "auto") -> Array:
        """Normal with mean 0 and deviation 1; float64 or float32."""
        return Array(self._draw("standard_normal", {}, size, chunks, dtype))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Normal with this mean and deviation."""
        if _is_array(loc) or _is_array(scale):
            return self._scaled("normal", "standard_normal", {}, loc, scale, size, chunks)
        return self._simple("normal", size, chunks, loc=loc, scale=scale)

    def standard_exponential(self, size: Any = None, dtype: Any = float, *, chunks: Any = "auto") -> Array:
        """Exponential with mean 1; float64 or float32."""
        return Array(self._draw("standard_exponential", {}, size, chunks, dtype))

    def exponential(self, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Exponential with this mean."""
        if _is_array(scale):
            return self._scaled("exponential", "standard_exponential", {}, None, scale, size, chunks)
        return self._simple("exponential", size, chunks, scale=scale)

    def standard_gamma(
        self, shape: Any, size: Any = None, dtype: Any = float, *, chunks: Any = "auto"
    ) -> Array:
        """Gamma with this shape and scale 1; float64 or float32."""
        return self._simple("standard_gamma", size, chunks, dtype, shape=shape)

    def gamma(self, shape: Any, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Gamma with this shape and scale."""
        if _is_array(scale) and not _is_array(shape):
            return self._scaled("gamma", "standard_gamma", {"shape": float(shape)}, None, scale, size, chunks)
        return self._simple("gamma", size, chunks, shape=shape, scale=scale)

    def beta(self, a: Any, b: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Beta."""
        return self._simple("beta", size, chunks, a=a, b=b)

    def chisquare(self, df: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Chi-square with these degrees of freedom."""
        return self._simple("chisquare", size, chunks, df=df)

    def f(self, dfnum: Any, dfden: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Fisher's F."""
        return self._simple("f", size, chunks, dfnum=dfnum, dfden=dfden)

    def gumbel(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Gumbel: extreme values of type I."""
        if _is_array(loc) or _is_array(scale):
            return self._scaled("gumbel", "gumbel", {"loc": 0.0, "scale": 1.0}, loc, scale, size, chunks)
        return self._simple("gumbel", size, chunks, loc=loc, scale=scale)

    def laplace(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Laplace: double exponential."""
        if _is_array(loc) or _is_array(scale):
            return self._scaled("laplace", "laplace", {"loc": 0.0, "scale": 1.0}, loc, scale, size, chunks)
        return self._simple("laplace", size, chunks, loc=loc, scale=scale)

    def logistic(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Logistic."""
        if _is_array(loc) or _is_array(scale):
            return self._scaled("logistic", "logistic", {"loc": 0.0, "scale": 1.0}, loc, scale, size, chunks)
        return self._simple("logistic", size, chunks, loc=loc, scale=scale)

    def lognormal(
        self, mean: Any = 0.0, sigma: Any = 1.0, size: Any = None, *, chunks: Any = "auto"
    ) -> Array:
        """The exponential of a normal."""
        if _is_array(mean) or _is_array(sigma):
            normal = self._scaled("lognormal", "standard_normal", {}, mean, sigma, size, chunks)
            return Array(call("exp", normal._expr))
        return self._simple("lognormal", size, chunks, mean=mean, sigma=sigma)

    def pareto(self, a: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Pareto II (Lomax)."""
        return self._simple("pareto", size, chunks, a=a)

    def power(self, a: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """The power distribution on [0, 1]."""
        return self._simple("power", size, chunks, a=a)

    def rayleigh(self, scale: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Rayleigh."""
        if _is_array(scale):
            return self._scaled("rayleigh", "rayleigh", {"scale": 1.0}, None, scale, size, chunks)
        return self._simple("rayleigh", size, chunks, scale=scale)

    def standard_cauchy(self, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Cauchy."""
        return self._simple("standard_cauchy", size, chunks)

    def standard_t(self, df: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Student's t."""
        return self._simple("standard_t", size, chunks, df=df)

    def triangular(
        self, left: Any, mode: Any, right: Any, size: Any = None, *, chunks: Any = "auto"
    ) -> Array:
        """Triangular."""
        return self._simple("triangular", size, chunks, left=left, mode=mode, right=right)

    def vonmises(self, mu: Any, kappa: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Von Mises, on [-π, π]."""
        return self._simple("vonmises", size, chunks, mu=mu, kappa=kappa)

    def wald(self, mean: Any, scale: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Wald: inverse Gaussian."""
        return self._simple("wald", size, chunks, mean=mean, scale=scale)

    def weibull(self, a: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Weibull."""
        return self._simple("weibull", size, chunks, a=a)

    # ---- discrete ----

    def integers(
        self,
        low: Any,
        high: Any = None,
        size: Any = None,
        dtype: Any = np.int64,
        endpoint: bool = False,
        *,
        chunks: Any = "auto",
    ) -> Array:
        """Integers from `low` to before `high` (or to `high`, with `endpoint`); with one bound, from 0.

        Parameters
        ----------
        low, high : int or array_like of int
            The bounds.
        size : int or tuple of int, optional
            The shape.
        dtype : dtype
            An integer dtype, or bool.
        endpoint : bool
            Whether `high` belongs to the range.
        chunks : chunks
            How to cut it.

        Returns
        -------
        Array
            Lazy.
        """
        if high is None:
            low, high = 0, low
        return self._simple("integers", size, chunks, dtype, low=low, high=high, endpoint=bool(endpoint))

    def poisson(self, lam: Any = 1.0, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Poisson with this mean."""
        return self._simple("poisson", size, chunks, lam=lam)

    def binomial(self, n: Any, p: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Successes among `n` trials."""
        return self._simple("binomial", size, chunks, n=n, p=p)

    def geometric(self, p: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Trials until the first success."""
        return self._simple("geometric", size, chunks, p=p)

    def negative_binomial(self, n: Any, p: Any, size: Any = None, *, chunks: Any = "auto") -> Array:
        """Failures before the `n`-th success."""
        return self._simple("negative_binomial", size, chunks, n=n, p=p)

    # ---- from a population ----

    def choice(
        self,
        a: Any,
        size: Any = None,
        replace: bool = True,
        p: Any = None,
        axis: int = 0,
        shuffle: bool = True,
        *,
        chunks: Any = "auto",
    ) -> Array:
        """Elements of a population.

        Parameters
        ----------
        a : int or array_like
            The population, with one axis; an integer stands for ``arange(a)``.
        size : int or tuple of int, optional
            The shape.
        replace : bool
            Whether an element may be chosen again.
        p : array_like, optional
            The probability of each; only with replacement.
        axis : int
            Must be 0.
        shuffle : bool
            Has no effect: without replacement, the order is random too.
        chunks : chunks
            How to cut it.

        Returns
        -------
        Array
            Lazy.
        """
        population = None if hasattr(a, "__index__") and np.ndim(a) == 0 else as_expr(a)
        if population is not None and (population.ndim != 1 or axis != 0):
            raise _native.UnsupportedError("choice takes a population with one axis")
        count = operator.index(a) if population is None else known_shape(population, "choice")[0]
        shape = () if size is None else shape_argument(size)
        total = int(np.prod(shape, dtype=object)) if shape else 1
        if count <= 0 and total:
            raise ValueError("a must be a positive integer unless no samples are taken")
        if p is not None:
            weights = [float(v) for v in np.asarray(p, float)]
            if len(weights) != count:
                raise ValueError(f"a and p must have same size: {count} and {len(weights)}")
        if count == 0:
            dtype = np.dtype("i8") if population is None else np.dtype(population.dtype)
            return full(shape, 0, dtype, chunks=chunks)
        if replace:
            if p is None:
                bounds = {"low": 0, "high": count, "endpoint": False}
                e = self._draw("integers", bounds, shape, chunks, "i8")
            else:
                e = self._draw("choice", {"p": weights}, shape, chunks, "i8")
        else:
            if p is not None:
                raise _native.UnsupportedError("choice with probabilities needs replace=True")
            if total > count:
                raise ValueError("Cannot take a larger sample than population when replace is False")
            (cuts,) = normalize("auto", (count,), np.dtype("i8"))
            e = _native.random_permutation(self._next(), count, cuts)  # type: ignore[arg-type]
            e = _native.reshape(_native.index(e, (slice(0, total),)), shape)
            e = _native.rechunk(e, normalize(chunks, shape, np.dtype("i8"))) if shape else e
        return Array(e if population is None else _looked_up(population, e))

    def permutation(self, x: Any, axis: int = 0, *, chunks: Any = "auto") -> Array:
        """A random order of elements.

        Parameters
        ----------
        x : int or array_like
            The elements, along an axis; an integer stands for ``arange(x)``.
        axis : int
            The axis.
        chunks : chunks
            How to cut the result, for an integer.

        Returns
        -------
        Array
            Lazy. The order of an array's elements is drawn at once: it says which blocks are needed where.
        """
        if hasattr(x, "__index__") and np.ndim(x) == 0:
            n = operator.index(x)
            (cuts,) = normalize(chunks, (n,), np.dtype("i8"))
            return Array(_native.random_permutation(self._next(), n, cuts))  # type: ignore[arg-type]
        from pantile._run import compute_exprs

        e = as_expr(x)
        at = axis_index(axis, e.ndim)
        n = known_shape(e, "permutation")[at]
        (order,) = compute_exprs([_native.random_permutation(self._next(), n, (n,))])
        return Array(_native.take(e, order.tolist(), at))


def _whole(value: Any) -> int:
    number = float(value) if isinstance(value, (float, np.floating)) else None
    if number is not None and not number.is_integer():
        raise TypeError(f"bounds of integers are integers, not {value!r}")
    return int(value)


def _looked_up(population: Expr, positions: Expr) -> Expr:
    """Elements at lazy positions: NumPy takes them from the whole population, block by block of positions."""
    along: list[tuple[Any, ...]] = [("block", k) for k in range(positions.ndim)]
    return _native.blockwise(
        lambda block_id, where, values: values[where],
        "choice",
        [(positions, along), (population, [("whole",)])],
        positions.chunks,
        positions.chunks,
        population.dtype,
    )
