"""ELMo's published files: ``options.json``, and weights in HDF5, as bilm-tf saves them.

The layout is that of github.com/allenai/bilm-tf. TensorFlow keeps a product's matrix as
``(in, out)``, and one matrix for an LSTM's input and state together.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from encoders._bilm import Shape, shapes
from encoders._characters import SYMBOLS
from encoders._paths import as_path
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Read = Callable[[str], NDArray[np.float32]]

WHERE = (
    "the published files are elmo_2x4096_512_2048cnn_2xhighway_options.json and "
    "..._weights.hdf5, and the like of other sizes, from allennlp.org/elmo"
)


def located(value: str, key: str) -> Path:
    """The file that a parameter names.

    Raises:
        EncoderError: if there is none.
    """
    path = as_path(value)
    if path is None or not path.is_file():
        raise EncoderUsageError(
            f"{key} = {value!r} is no file here; expected the path of one (absolute, or in a "
            f"configuration from the project folder): {WHERE}"
        )
    return path


def read_shape(file: Path) -> Shape:
    """The sizes that an ``options.json`` tells.

    Raises:
        EncoderError: if it is not such a file, or of a model that is built otherwise.
    """
    try:
        options: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        cnn, lstm = options["char_cnn"], options["lstm"]
        shape = Shape(
            characters=SYMBOLS,
            width=int(cnn["max_characters_per_token"]),
            character_dim=int(cnn["embedding"]["dim"]),
            filters=tuple((int(width), int(count)) for width, count in cnn["filters"]),
            activation=str(cnn["activation"]),
            highways=int(cnn.get("n_highway") or 0),
            projection=int(lstm["projection_dim"]),
            cell=int(lstm["dim"]),
            depth=int(lstm.get("n_layers", 1)),
            cell_clip=lstm.get("cell_clip"),
            projection_clip=lstm.get("proj_clip"),
            skip=bool(lstm["use_skip_connections"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EncoderError(
            f"{file} does not hold the options of an ELMo model ({error!r}); expected a JSON "
            f"object with 'char_cnn' and 'lstm' in it: {WHERE}"
        ) from error
    if shape.activation not in {"relu", "tanh"} or shape.projection >= shape.cell:
        raise EncoderError(
            f"{file} has activation {shape.activation!r} and projects from {shape.cell} to "
            f"{shape.projection}; expected 'relu' or 'tanh' and a projection to fewer, as all "
            "published models have"
        )
    return shape


def read_weights(file: Path, shape: Shape) -> dict[str, NDArray[np.float32]]:
    """The weights under the names of `encoders._bilm.shapes`.

    Raises:
        EncoderError: if a weight is missing, of another shape, or not finite.
    """
    import h5py
    import numpy as np

    # None is larger in the file: there, too, an LSTM's matrices are two of each direction.
    most = max(math.prod(size) for size in shapes(shape).values()) + shape.character_dim
    try:
        with h5py.File(file, "r") as stored:

            def read(name: str) -> NDArray[np.float32]:
                dataset = stored[name]
                _check(dataset, stored, most)
                return np.asarray(dataset[...], dtype=np.float32)

            found = _renamed(read, shape)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise EncoderError(
            f"{file} cannot be read as the weights of this model ({error}); expected the HDF5 file "
            f"that belongs to the options, whole: {WHERE}"
        ) from error
    for name, size in shapes(shape).items():
        if found[name].shape != size or not np.isfinite(found[name]).all():
            raise EncoderError(
                f"{file}: {name} has shape {found[name].shape}, the options say {size}, and all of "
                "it must be finite; give the options and weights of one model"
            )
    return found


def _check(dataset: Any, stored: Any, most: int) -> None:  # noqa: ANN401 - h5py ships no types
    """Before a dataset is read, which costs the memory that it says of itself.

    Raises:
        ValueError: if it is too large, not of floats, or lies in another file.
    """
    if dataset.file.filename != stored.filename or dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file, expected it in this one")
    if dataset.dtype.kind != "f" or dataset.size > most:
        raise ValueError(
            f"{dataset.name} has {dataset.dtype} of shape {dataset.shape}, expected floats, "
            f"{most} at most"
        )


def _renamed(read: Read, shape: Shape) -> dict[str, NDArray[np.float32]]:
    import numpy as np

    # Some tables have a row more, for a mask that is never read.
    found = {"characters": read("char_embed")[:SYMBOLS]}
    for at in range(len(shape.filters)):
        found[f"window_{at}.kernel"] = read(f"CNN/W_cnn_{at}")[0].transpose(2, 1, 0)
        found[f"window_{at}.bias"] = read(f"CNN/b_cnn_{at}")
    for at in range(shape.highways):
        for part in ("carry", "transform"):
            found[f"highway_{at}.{part}"] = read(f"CNN_high_{at}/W_{part}")
            found[f"highway_{at}.{part}_bias"] = read(f"CNN_high_{at}/b_{part}")
    if "token.kernel" in shapes(shape):
        found["token.kernel"] = read("CNN_proj/W_proj")
        found["token.bias"] = read("CNN_proj/b_proj")
    for at in range(shape.depth):
        cells = [f"RNN_{way}/RNN/MultiRNNCell/Cell{at}/LSTMCell" for way in (0, 1)]
        both = np.stack([read(f"{cell}/W_0") for cell in cells])
        found[f"lstm_{at}.input"] = _gates(both[:, : shape.projection])
        found[f"lstm_{at}.state"] = _gates(both[:, shape.projection :])
        found[f"lstm_{at}.bias"] = _gates(np.stack([read(f"{cell}/B") for cell in cells]))
        found[f"lstm_{at}.projection"] = np.stack([read(f"{cell}/W_P_0") for cell in cells])
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def _gates(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """TensorFlow's order, input, new, forget, output, into that of `encoders._bilm.shapes`."""
    import numpy as np

    take, new, keep, give = np.split(array, 4, axis=-1)
    return np.concatenate([take, keep, give, new], axis=-1)
