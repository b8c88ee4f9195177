"""Vectors of a table's rows by every encoder that has them, beside one-hot: what a probe tells.

``python -m tests.bench.tables`` reads adult.csv from ``VECMILL_TEST_DATA``. Encoders learn from
20,000 rows, a logistic regression on their vectors learns the income class from 26,049, and is
measured on the 6,512 others; over two splits.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import polars.selectors as cs

from encoders import _reading, _tables, autoencoder, entity, pca, tabular, vae
from encoders.abilities import Labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS = (0, 1)
NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
SAMPLE = 20_000


def main() -> None:
    """Print accuracy, dimensions, seconds and what the fit measured, an encoder a line."""
    folder = os.environ.get("VECMILL_TEST_DATA")
    if folder is None:
        sys.exit("set VECMILL_TEST_DATA to the folder of the real data")
    rows, income = _adult(Path(folder))
    makers: dict[str, Any] = {
        "tabular": lambda: tabular.build(tabular.Params(dim=32)),
        "pca": lambda: pca.build(pca.Params(dim=32)),
        "autoencoder": lambda: autoencoder.build(autoencoder.Params()),
        "autoencoder masking=0.2": lambda: autoencoder.build(autoencoder.Params(masking=0.2)),
        "vae": lambda: vae.build(vae.Params()),
        "entity": lambda: entity.build(entity.Params()),
        "entity label=income": lambda: entity.build(entity.Params(label="income")),
        "entity label=income bins=0": lambda: entity.build(entity.Params(label="income", bins=0)),
    }
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(income))
        test, train = order[: len(order) // 5], order[len(order) // 5 :]
        _told(f"split {seed}", "accuracy", "dim", "seconds", "figures")
        one_hot = _tables.learn_inputs("one-hot", _reading.Reading(min_count=1), rows[train])
        found = _probe(
            one_hot.rows(rows[train]), income[train], one_hot.rows(rows[test]), income[test]
        )
        _told("one-hot", f"{found:.4f}", one_hot.width, "", "")
        for name, make in makers.items():
            encoder, begun = make(), time.perf_counter()
            sample, rng = train[:SAMPLE], np.random.default_rng(seed)
            if isinstance(encoder, Labelled) and encoder.label is not None:
                encoder.fit_labelled(rows[sample], income[sample].tolist(), rng)
            else:
                encoder.fit(rows[sample], rng)
            seconds = time.perf_counter() - begun
            found = _probe(
                encoder.encode(rows[train]), income[train], encoder.encode(rows[test]), income[test]
            )
            figures = encoder.state().meta.get("figures", {})
            plain = {k: round(v, 4) for k, v in figures.items() if not isinstance(v, list)}
            _told(name, f"{found:.4f}", encoder.dim, f"{seconds:.1f}", plain)


def _adult(folder: Path) -> tuple[pl.DataFrame, NDArray[Any]]:
    raw = pl.read_csv(folder / "tabular" / "adult.csv", infer_schema=False)
    table = raw.with_columns(cs.string().str.strip_chars().replace("?", None)).drop_nulls("income")
    rows = table.drop("income").cast(dict.fromkeys(NUMBERS, pl.Int64))
    return rows, table["income"].to_numpy()


def _probe(
    train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any]
) -> float:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=2000).fit(train, train_labels)
    return float(model.score(test, test_labels))


def _told(name: object, *cells: object) -> None:
    print(f"{name!s:<28}", *(f"{cell!s:>9}" for cell in cells), flush=True)  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
