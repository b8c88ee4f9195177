"""The installed script: pipes, Ctrl-C, and exit codes that a shell sees."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from flows.cli import run_command
from tests.flows.commands.commanding import Answer, script


def test_the_script_gives_exit_codes(tmp_path: Path) -> None:
    assert script("--help", cwd=tmp_path).returncode == 0
    assert script("bogus", cwd=tmp_path).returncode == 2
    missing = script("status", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("error: no configuration file conf/base.toml; name one with ")


TABLE_CONF = """
[sources.cells]
kind = "table"
path = "cells.csv"
id = "id"
keep = ["label"]
[encoders.rows]
kind = "tabular"
dim = 2
[features.cells]
source = "cells"
encoder = "rows"
"""


def write_cells(folder: Path, n: int, shift: float = 0) -> None:
    """Add rows to the table; the first n begin it anew."""
    rng = np.random.default_rng(n)
    path = folder / "cells.csv"
    begun = path.read_text("utf-8") if shift else "id,label,x,y\n"
    rows = enumerate(rng.random((n, 2)) + shift)
    lines = [f"c{shift:g}.{i},{'ab'[i % 2]},{x:.3f},{y:.3f}\n" for i, (x, y) in rows]
    path.write_text(begun + "".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of table rows that the script has run."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / "conf").mkdir()
    (folder / "conf" / "base.toml").write_text(TABLE_CONF, encoding="utf-8")
    write_cells(folder, 500)
    ran = script("run", "--direct", "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["new"] == 500
    return folder


@pytest.mark.slow
def test_parquet_goes_down_a_pipe(cells: Path) -> None:
    import polars as pl

    vecmill = Path(sys.executable).with_name("vecmill")
    done = subprocess.run(  # noqa: S603 - our own script
        [vecmill, "sql", "FROM cells", "--format", "parquet"],
        cwd=cells, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    rows = pl.read_parquet(io.BytesIO(done.stdout))
    assert (len(rows), rows["vector"].list.len().unique().to_list()) == (500, [2])
    assert rows.schema["vector"] == pl.List(pl.Float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "sql 'FROM cells a, cells b' --format csv",
        "sql 'FROM cells a, cells b LIMIT 20000' --format json",
        "search cells --id c0.0 --json -k 499",
        "search cells --id c0.0 -k 499",
    ],
)
def test_a_reader_that_leaves_is_no_accident(cells: Path, command: str) -> None:
    vecmill = Path(sys.executable).with_name("vecmill")
    done = subprocess.run(  # noqa: S602 - a pipe is what this is about
        f"{vecmill} {command} | head -c 1",
        cwd=cells, shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (len(done.stdout), done.stderr) == (1, "")


@pytest.mark.slow
def test_ctrl_c_is_no_accident(cells: Path) -> None:
    lock = FileLock(cells / "data" / "locks" / "cells.lock")
    vecmill = Path(sys.executable).with_name("vecmill")
    with (
        lock,
        subprocess.Popen(  # noqa: S603 - our own script
            [vecmill, "run", "--direct"], cwd=cells, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        assert "another run of cells is under way" in process.stderr.readline()
        while process.poll() is None:  # Python loses one that comes within a destructor
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        said = process.stderr.read()
        assert process.returncode == 130, said
    # The second where it has begun to wait by then.
    told = ("nothing half done is published", "it was only waiting for another run of cells")
    assert said.splitlines()[-1].startswith(tuple(f"error: interrupted; {words}" for words in told))
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_store_may_be_read_by_row(cells: Path) -> None:
    done = script("search", "cells", "--row", '{"x": 0.5, "y": 0.5}', "--json", cwd=cells)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10


@pytest.mark.slow
def test_an_alarm_is_exit_code_3(
    cells: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(cells, folder)
    with (folder / "conf" / "base.toml").open("a") as conf:
        conf.write('monitors = ["drift"]\n')

    def here(*arguments: str) -> Answer:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(folder / "conf" / "base.toml")])
        got = capfd.readouterr()
        return Answer(code, got.out, got.err)

    # The encoder learned from the first run, so that alarms begin with what runs wrote since.
    write_cells(folder, 300, shift=0.001)
    usual = here("run", "--direct", "--json")
    assert usual.code == 0, usual.err
    write_cells(folder, 200, shift=0.7)
    ran = here("run", "--direct", "--json")
    assert ran.code == 3, ran.err
    assert json.loads(ran.out)["new"] == 200
    assert "cells: drift: alarm: the distribution moved: " in ran.err
    looked = here("monitor", "cells", "--direct", "--json")
    found = json.loads(looked.out)
    assert (looked.code, looked.err, found["verdict"]) == (3, "", "alarm")
    assert all(name.startswith("c0.7.") for name in found["record_ids"])
    told = here("monitor", "cells", "--direct")
    assert told.code == 3
    assert told.err.startswith(f"drift, clearest records: {found['record_ids'][0]}")
    [row] = map(json.loads, here("status", "--json").out.splitlines())
    assert row["alarms"] == 1
