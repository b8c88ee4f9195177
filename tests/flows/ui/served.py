"""A store to look at, and the command that serves it, as a process of its own."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from PIL import Image

from flows.analysis.clustered import Asked as Grouped
from flows.analysis.clusters import cluster
from flows.engines.engine import Direct
from flows.maps.drawing import Asked, draw
from flows.output.progress import Silent
from flows.pipeline import stages
from storage.model import FindingRow
from tests.flows.project import Project
from tests.flows.topics import texts, topical
from tests.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<script>alert("rows")</script>'
"""The id, text and label of a record that somebody may have written."""

_PHOTOS = """
[sources.photos]
kind = "files"
path = "photos/*.png"
pattern = "{colour}.png"
id = "{colour}"

[encoders.patches]
kind = "vision"
centroids = 8
size = 16

[features.photos]
source = "photos"
encoder = "patches"
thumbnails = 48
max_dead = 0.5

[sources.sounds]
kind = "files"
path = "sounds/*.wav"

[encoders.cepstra]
kind = "mfcc"

[features.sounds]
source = "sounds"
encoder = "cepstra"

[features.coming]
source = "notes"
encoder = "mill"
"""
HERTZ = (220, 440, 880)
COLOURS = ("red", "lime", "blue", "white", "black", "orange")


def tone(file: Path, hertz: int) -> None:
    """Write a recording of half a second."""
    rate = 8000
    wave_ = 12000 * np.sin(2 * np.pi * hertz * np.arange(rate // 2) / rate)
    with wave.open(str(file), "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(wave_.astype("<i2").tobytes())


def filled(root: Path) -> Project:
    """A project with texts, pictures and recordings that have run, and a feature that has not.

    One record is written by a stranger, one is dead; a monitor raises an alarm, and a map and
    clusters are kept.
    """
    project = topical(Project(root, more=_PHOTOS), [*texts(60), (HOSTILE, HOSTILE, HOSTILE)])
    (root / "photos").mkdir()
    for place, colour in enumerate(COLOURS):
        picture = Image.new("RGB", (120, 60), colour)
        picture.paste((place * 40, 20, 90), (0, 0, 20, 20))
        picture.save(root / "photos" / f"{colour}.png")
    (root / "photos" / "torn.png").write_bytes(b"no picture")
    (root / "sounds").mkdir()
    for hertz in HERTZ:
        tone(root / "sounds" / f"{hertz}.wav", hertz)
    settings = project.settings()
    names = ("notes", "photos", "sounds")
    done = [stages.embed(settings, name, Direct(), Silent()) for name in names]
    alarm = FindingRow(
        "drift", "alarm", "the texts moved", 0.2, 0.1, 0.01, 0.3, 40, 20, None,
        record_ids=("r1", HOSTILE),
    )  # fmt: skip
    project.stores().catalog.add_findings("notes", 1, done[0].run, [alarm])
    draw(settings, "notes", Asked("pca"), Silent())
    cluster(settings, "notes", Grouped(k=3), Silent())
    return project


@dataclass(frozen=True)
class Served:
    """A server, and the project that it shows."""

    address: str
    project: Project
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
        """What is at an address of it, or what a form that is sent there leads to."""
        with httpx.Client(timeout=300, trust_env=False, follow_redirects=True) as client:
            return client.request(method, f"{self.address}{path}", **more)

    def get(self, path: str) -> httpx.Response:
        """What is at an address of it."""
        return self.ask("GET", path)

    def post(self, path: str, **form: str) -> httpx.Response:
        """What a form of it gives, once there is an answer."""
        return self.answered(self.ask("POST", path, data=form))

    def answered(self, page: httpx.Response) -> httpx.Response:
        """The page's answer: at once, or of its job."""
        until = time.monotonic() + 300
        while (job := re.search(r'data-job="(/jobs/[^"]+)"', page.text)) is not None:
            assert time.monotonic() < until, page.text
            time.sleep(0.1)
            page = self.get(job[1])
        return page


def serve(project: Project, *options: str) -> Served:
    """Start `vecmill ui` on a free port."""
    project.settings()
    conf = project.root / "vecmill.toml"
    command = ["ui", "--no-open", "--port", "0", "--conf", str(conf), *options]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own command
        [sys.executable, "-m", "flows.cli", *command],
        stderr=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ),
    )  # fmt: skip
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://[^ ]+[0-9]", line)
    assert found is not None, line + process.stderr.read()
    return Served(found[0], project, process)


def digests(root: Path) -> dict[str, str]:
    """What each file of a project holds; locks hold nothing."""
    files = (file for file in sorted(root.rglob("*")) if file.is_file())
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.suffix != ".lock"
    }
