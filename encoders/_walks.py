"""Random walks over a graph, all of them at once.

Grover & Leskovec 2016, "node2vec: Scalable Feature Learning for Networks": the next step from v,
reached from t, goes to x with a probability in proportion to the weight of the edge, times 1/p
where x is t, 1 where x is a neighbour of t, and 1/q elsewhere.

The steps are drawn by rejection as in KnightKing (Yang et al. 2019): by weight alone, and again
where chance does not let the factor pass. That takes no table for each pair of nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

END = -1
"""Stands where a walk has ended since its node has no neighbour."""


class Walker:
    """Walks on one graph.

    Args:
        rows: ``(n, n)``, the weights of the edges from each node.
        p: how unlikely it is to go back at once.
        q: how unlikely it is to go on where the node before has no edge to.
    """

    def __init__(self, rows: csr_matrix, p: float = 1.0, q: float = 1.0) -> None:
        import numpy as np
        from scipy.sparse import csr_matrix

        rows = csr_matrix(rows)
        rows.sort_indices()
        self._n = rows.shape[0]
        self._begins = rows.indptr.astype(np.int64)
        self._others = rows.indices.astype(np.int64)
        self._sums = np.r_[0.0, np.cumsum(rows.data)]
        starts = np.repeat(np.arange(self._n, dtype=np.int64), np.diff(self._begins))
        self._pairs = starts * self._n + self._others
        self._factors = (1 / p, 1.0, 1 / q)

    def walks(
        self, starts: NDArray[np.int64], length: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """A walk from each of some nodes: ``(len(starts), length)`` int64, `END` after its end."""
        import numpy as np

        path = np.full((len(starts), length), END, np.int64)
        path[:, 0] = starts
        going = np.arange(len(starts))
        for step in range(1, length):
            at = path[going, step - 1]
            going = going[self._begins[at + 1] > self._begins[at]]
            if not len(going):
                break
            at = path[going, step - 1]
            if step == 1 or self._factors == (1.0, 1.0, 1.0):
                path[going, step] = self._by_weight(at, rng)
            else:
                path[going, step] = self.step(path[going, step - 2], at, rng)
        return path

    def step(
        self, before: NDArray[np.int64], at: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """The nodes after ``at`` of walks that came there from ``before``; all have neighbours."""
        import numpy as np

        most = max(self._factors)
        chosen = np.empty(len(at), np.int64)
        left = np.arange(len(at))
        while len(left):
            tried = self._by_weight(at[left], rng)
            passed = rng.random(len(left)) * most < self._factor(before[left], tried)
            chosen[left[passed]] = tried[passed]
            left = left[~passed]
        return chosen

    def _by_weight(self, at: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        import numpy as np

        begins, ends = self._begins[at], self._begins[at + 1]
        low = self._sums[begins]
        drawn = low + rng.random(len(at)) * (self._sums[ends] - low)
        places = np.searchsorted(self._sums, drawn, side="right") - 1
        # a sum of many weights is rounded, and may land one beyond
        others: NDArray[np.int64] = self._others[np.clip(places, begins, ends - 1)]
        return others

    def _factor(self, before: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.float64]:
        import numpy as np

        back, near, far = self._factors
        asked = before * self._n + x
        places = np.minimum(np.searchsorted(self._pairs, asked), len(self._pairs) - 1)
        factor = np.where(self._pairs[places] == asked, near, far)
        found: NDArray[np.float64] = np.where(before == x, back, factor)
        return found
