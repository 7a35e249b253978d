"""A joblib backend on Pantile's worker processes: `register`, then ``joblib.parallel_config(backend="pantile")``.

What runs in a worker gets joblib's sequential backend for parallel calls of its own. How many calls make a batch is joblib's
business. Arrays go through shared memory, so joblib's own memory mapping of large arguments is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import joblib
from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

from pantile import config
from pantile.futures import Executor

__all__ = ["register"]


class PantileBackend(AutoBatchingMixin, ParallelBackendBase):
    """What joblib asks of a backend."""

    supports_retrieve_callback = True
    default_n_jobs = -1
    _executor: Executor | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs < 0:
            return max(config.get("num_threads") + 1 + n_jobs, 1)
        return n_jobs

    def configure(self, n_jobs: int = 1, parallel: Any = None, **ignored: Any) -> int:
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._n_jobs = n_jobs
        self._executor = Executor(n_jobs, kind="processes")
        self._pending: set[Any] = set()
        return n_jobs

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Any:
        assert self._executor is not None
        future = self._executor.submit(func)
        self._pending.add(future)
        if callback is not None:
            future.add_done_callback(callback)
        future.add_done_callback(self._pending.discard)
        return future

    def stop_call(self) -> None:
        # Only a call that has failed leaves work behind, which joblib itself would let run on.
        if self._pending:
            self.abort_everything()

    def retrieve_result_callback(self, future: Any) -> Any:
        return future.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        if self._executor is not None:
            self._executor.stop()
            # A callback that is still running would hand the rest of this call's work to the next call.
            self._executor.shutdown(wait=True)
            self._executor = Executor(self._n_jobs, kind="processes") if ensure_ready else None

    def terminate(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
        self.reset_batch_stats()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None


def register() -> None:
    """Makes the backend ``"pantile"`` known to joblib.

    Examples
    --------
    >>> import math
    >>> import joblib
    >>> import pantile.joblib
    >>> pantile.joblib.register()
    >>> with joblib.parallel_config(backend="pantile", n_jobs=2):
    ...     joblib.Parallel()(joblib.delayed(math.factorial)(n) for n in range(5))
    [1, 1, 2, 6, 24]
    """
    joblib.register_parallel_backend("pantile", PantileBackend)
