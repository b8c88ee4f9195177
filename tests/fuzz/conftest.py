"""How much is tried: some in the quick loop, more in what is ``slow``; the same each time.

``VECMILL_FUZZ=20000 pytest tests/fuzz -m slow`` tries as many of each kind.

With a fixed seed a failure is one of the code's, never of the day's luck; ``--hypothesis-seed``
looks elsewhere.
"""

import os

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail, nor is a strategy that draws long texts slowly.
_UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large]
QUICK = settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=_UNHURRIED,
)  # fmt: skip
# A busy machine takes a second for ten of these: the number that CI can pay; a person may pay more.
THOROUGH = settings(QUICK, max_examples=int(os.environ.get("VECMILL_FUZZ", "500")))
