"""Vectors in training code: scikit-learn transformers, and a PyTorch dataset.

``from flows.use import VectorTransformer, EncoderTransformer, dataset``. Each brings its library
only as it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.training.dataset import dataset
    from flows.training.transformers import EncoderTransformer, VectorTransformer

__all__ = ["EncoderTransformer", "VectorTransformer", "dataset"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the three
    if name == "dataset":
        from flows.training import dataset as training

        return training.dataset
    if name in __all__:
        from flows.training import transformers

        return getattr(transformers, name)
    raise AttributeError(f"flows.use has no {name!r}; it has {', '.join(__all__)}")
