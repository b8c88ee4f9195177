"""Vecmill: one source, one encoder, one feature, and ``vecmill run``.

``whole`` is ``vecmill run --direct``, in this process; a plain ``vecmill run`` starts Prefect's own
API server besides.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.bench.others._records import command

if TYPE_CHECKING:
    from tests.bench.others._records import Job, Vectors

CONF = """
[sources.news]
kind = "table"
path = "{records}"
id = "id"
content = "text"

[encoders.minilm]
kind = "sentence"
model = "{model}"

[features.news]
source = "news"
encoder = "minilm"
"""


def whole(job: Job) -> None:
    """Bring the feature up to date."""
    conf = job.store / "conf/base.toml"
    if not conf.exists():
        conf.parent.mkdir()
        conf.write_text(CONF.format(records=job.records, model=job.model), encoding="utf-8")
    from flows.cli import run_command

    os.chdir(job.store)
    code = run_command(["run", "--direct"])
    if code:
        raise SystemExit(code)


def dump(job: Job) -> Vectors:
    """What the feature holds; it keeps no texts, so they are those of its records."""
    from tests.bench._texts import vectors

    texts = job.texts()
    held = vectors(job.store / "conf/base.toml", "news")
    return {name: (texts.get(name, ""), vector.tolist()) for name, vector in held.items()}


if __name__ == "__main__":
    command(whole, dump)
