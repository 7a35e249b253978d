"""What tests of bags use."""

from __future__ import annotations

from typing import Any

__all__ = ["assert_eq"]


def assert_eq(a: Any, b: Any, scheduler: str = "sync") -> None:
    """Fails unless two values are equal, once they are computed.

    Parameters
    ----------
    a, b : object
        Bags, items, delayed values, or plain values.
    scheduler : str, optional
        The executor that computes them; Dask's name for it.

    Raises
    ------
    AssertionError
        If they differ.

    Examples
    --------
    >>> import pantile.bag as db
    >>> db.assert_eq(db.range(3, npartitions=1), [0, 1, 2])
    """
    found = a.compute(executor=scheduler) if hasattr(a, "compute") else a
    expected = b.compute(executor=scheduler) if hasattr(b, "compute") else b
    if found != expected:
        raise AssertionError(f"{found!r} is not equal to {expected!r}")
