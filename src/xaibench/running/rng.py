"""The one place that says with what randomness metrics, films and tables of a case are computed."""

import zlib

import numpy as np

from xaibench.data.case import Case


def generator_of(seed: int, case: Case) -> np.random.Generator:
    """A generator of its own for everything that is computed of a case, so that its order does not matter."""
    return np.random.default_rng([seed, zlib.crc32(case.digest.encode())])
