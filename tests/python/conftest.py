"""Shared by the tests of arrays: how often property tests run, and what they draw from."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile(
    "pantile",
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("pantile")


@pytest.fixture(autouse=True)
def _quiet_numpy():
    """NumPy warns about the overflows and NaNs that the tests want."""
    with np.errstate(all="ignore"):
        yield
