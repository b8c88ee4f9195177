"""All benchmarks, or those named: ``python -m tests.bench [spine …]``."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.bench


def main(names: list[str]) -> None:
    """Run the benchmarks of these names; a module is one unless its name begins with ``_``."""
    known = [m.name for m in pkgutil.iter_modules(tests.bench.__path__) if m.name[0] != "_"]
    for name in names or known:
        if name not in known:
            sys.exit(f"no benchmark {name!r}; there are: {', '.join(known)}")
        print(f"\n=== {name}", flush=True)  # noqa: T201 - a benchmark prints
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
