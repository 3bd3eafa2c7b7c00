"""How many examples a property is tried on: some in `make test`, many times as many in the long
runs, where `tests.torture` sets the factor."""

import os
from collections.abc import Callable
from typing import Any, Final

from hypothesis import settings

FACTOR_VARIABLE: Final = "INQUEST_TEST_EXAMPLES_FACTOR"


def examples(count: int) -> Callable[[Any], Any]:
    """Like `settings(max_examples=count)`, without a deadline."""
    factor = float(os.environ.get(FACTOR_VARIABLE) or 1)
    return settings(max_examples=max(1, round(count * factor)), deadline=None)
