"""What must hold of a store whose command was broken off, before and after it is made good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.ids import hash_text
from tests.faults.observed import logged
from tests.faults.trials import Mode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.scenes import Scene
    from tests.faults.trials import Ended, Trials


@dataclass(frozen=True)
class Twin:
    """The same thing done undisturbed.

    Attributes:
        base: the project on its eve.
        before: what it showed.
        after: what it showed once done.
        changes: how many changes to files that took.
        code: the command's exit code.
        texts: what was encoded.
    """

    scene: Scene
    base: Path
    before: dict[str, Any]
    after: dict[str, Any]
    changes: int
    code: int
    texts: list[str]

    @classmethod
    def of(cls, trials: Trials, scene: Scene, folder: Path) -> Twin:
        """Do it once."""
        base = scene.build(trials, folder / scene.name)
        before = trials.look(base)
        twin = trials.copy(base, f"{scene.name}-twin")
        ended = trials.run(twin, *scene.argv, mode=Mode.COUNT)
        assert ended.code in {0, 3}, ended.err
        assert ended.seen is not None
        texts = sorted(logged(twin))
        return cls(scene, base, before, trials.look(twin), ended.seen, ended.code, texts)

    def strike(self, trials: Trials, mode: Mode, at: int) -> Ended:
        """Break it off at one change in a copy, and hold to what is promised.

        Returns:
            How the command ended that was struck.
        """
        where = f"{self.scene.name}, {mode.name} at change {at} of {self.changes}"
        root = trials.copy(self.base, "struck")
        ended = trials.run(root, *self.scene.argv, mode=mode, at=at)
        assert "Traceback" not in ended.err, f"{where}: {ended.err}"
        between = trials.look(root)
        first = logged(root)
        self._check_whole(between, where)
        if self.scene.again is None:
            return ended
        # It may wait for a lock that is held, or be struck after all was done.
        again = trials.run(root, *self.scene.again)
        assert again.code in {0, self.code}, f"{where}: {again.code} {again.err}"
        second = logged(root)
        after = trials.look(root)
        assert after == self.after, f"{where}: {_difference(after, self.after)}"
        assert sorted({*first, *second}) == self.texts, where
        assert len(second) == len(set(second)), f"{where}: encoded twice in one run"
        done = {hash_text(text) for text in second} & set(between["staged"])
        assert not done, f"{where}: encoded though it had a receipt"
        return ended

    def _check_whole(self, between: dict[str, Any], where: str) -> None:
        """Readers see what was before or what is after; of an erasure, version by version."""
        found, before, after = _shown(between), _shown(self.before), _shown(self.after)
        if self.scene.whole:
            assert found in (before, after), where
        for name, shown in found.items():
            for part, value in shown.items():
                sides = [side.get(name, {}).get(part) for side in (before, after)]
                assert value in sides, f"{where}: {name}, {part}"


def _shown(seen: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What readers of a store see of it: rows and dead letters by version, and which is live."""
    shown = {
        table: {name: version.get(name) for name in ("standing", "rows", "dead", "sums")}
        for table, version in seen["versions"].items()
        if version.get("rows") is not None
    }
    return {"notes": {"live": seen["live"]}, **shown}


def _difference(found: Any, expected: Any, place: str = "") -> list[str]:  # noqa: ANN401 - of JSON
    """The places at which two JSON values differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            line
            for key in sorted({*found, *expected})
            for line in _difference(found.get(key), expected.get(key), f"{place}/{key}")
        ]
    return [] if found == expected else [f"{place}: {found!r:.200} instead of {expected!r:.200}"]
