"""Tiny speech models with weights drawn from a fixed seed, saved as real ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, LAYERS, LEAST = 16, 3, 400
_SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_GROUP: dict[str, Any] = {"feat_extract_norm": "group"}
_LAYER: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-group": ("Wav2Vec2", _GROUP),
    "wav2vec2-layer": ("Wav2Vec2", _LAYER | {"conv_bias": True}),
    "hubert-group": ("Hubert", _GROUP),
    "hubert-layer": ("Hubert", _LAYER),
    "hubert-batch-norm": ("Hubert", _LAYER | {"conv_pos_batch_norm": True}),
    "wavlm-group": ("WavLM", _GROUP),
    "wavlm-layer": ("WavLM", _LAYER),
    "unispeech-layer": ("UniSpeech", _LAYER),
    "unispeech-sat-layer": ("UniSpeechSat", _LAYER),
    "data2vec": ("Data2VecAudio", {"conv_pos_kernel_size": 5}),
    "conformer": ("Wav2Vec2Conformer", _LAYER | {"conv_depthwise_kernel_size": 5}),
    "sew": ("SEW", _GROUP | {"squeeze_factor": 2}),
    "adapter": ("Wav2Vec2", _LAYER | {"add_adapter": True, "output_hidden_size": WIDTH}),
}
"""A name, the library's, and how it differs."""

PADDED = {"wav2vec2-layer", "hubert-layer", "unispeech-layer", "unispeech-sat-layer"}
"""Those that can be run on recordings of several lengths at once."""


def save(folder: Path, family: str, **more: Any) -> None:  # noqa: ANN401 - of the configuration
    """A model and its preprocessor."""
    import torch
    import transformers

    name, sizes = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**_SIZES | sizes | more)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = getattr(transformers, f"{name}Model")(config)
        for parameter in model.parameters():
            # As drawn, norms and biases would be alike in all dimensions, and hide what is wrong.
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(  # type: ignore[no-untyped-call] # the library's omission
        do_normalize=not family.startswith("wavlm"), return_attention_mask=family in PADDED
    ).save_pretrained(folder)
