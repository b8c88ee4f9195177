"""``python -m tests.bench.others``."""

from __future__ import annotations

import sys

from tests.bench.others import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
