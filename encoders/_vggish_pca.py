"""What AudioSet did to VGGish's embeddings before it published them.

Whitened by principal components, cut off at two deviations, and put into 8 bits, as those of
YouTube-8M are (Abu-El-Haija et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MATRICES = ("pca_eigen_vectors", "pproc.pca_eigen_vectors", "pproc.pca_matrix")
_MEANS = ("pca_means", "pproc.pca_means")
_LOWEST, _HIGHEST, _LEVELS = -2.0, 2.0, 255


@dataclass(frozen=True)
class Whitening:
    """The published components.

    Attributes:
        matrix: ``(dim, dim)`` float64, a component a row, scaled to unit variance.
        means: ``(dim,)`` float64.
    """

    matrix: NDArray[np.float64]
    means: NDArray[np.float64]

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[np.float32]], dim: int, origin: str) -> Whitening:
        """From ``vggish_pca_params.npz``, or a state dict of torchvggish that has them.

        Raises:
            EncoderError: if it has not, or they are of another width than the embeddings.
        """
        matrix = next((tensors[name] for name in _MATRICES if name in tensors), None)
        means = next((tensors[name] for name in _MEANS if name in tensors), None)
        if matrix is None or means is None:
            found = ", ".join(map(repr, sorted(tensors)[:3])) or "nothing"
            raise EncoderError(
                f"{origin!r} holds {found}, and no {_MATRICES[0]!r} and {_MEANS[0]!r} to whiten "
                'embeddings with; give AudioSet\'s file: pca = "path/to/vggish_pca_params.npz", or '
                'postprocess = "none"'
            )
        if matrix.shape != (dim, dim) or means.size != dim:
            raise EncoderError(
                f"the components of {origin!r} are {matrix.shape} with {means.size} means, "
                f"expected {(dim, dim)} for embeddings of {dim}: they are of another network"
            )
        return cls(matrix.astype(np.float64), means.astype(np.float64).reshape(dim))

    def whitened(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Embeddings ``(n, dim)`` along the components, ``(n, dim)``."""
        whitened: NDArray[np.float64] = (embeddings - self.means) @ self.matrix.T
        return whitened

    def quantized(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same in whole numbers from 0 to 255, which stand for -2 to 2; rounded down."""
        inside = np.clip(self.whitened(embeddings), _LOWEST, _HIGHEST)
        return np.floor((inside - _LOWEST) * (_LEVELS / (_HIGHEST - _LOWEST)))
