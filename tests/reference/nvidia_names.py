"""NVIDIA's names of the weights in ours."""
from typing import Dict

from torch import Tensor

ATTENTION = {
    "linear_att": "score_vector",
    "normalize_scalar": "score_scale",
    "normalize_bias": "score_bias",
    "linear_q.weight": "query_projection.weight",
    "linear_k.weight": "key_projection.weight",
}


def from_nvidia(weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {our_name(name): value for name, value in weights.items()}


def our_name(name: str) -> str:
    if name.endswith("embedder.weight"):
        return name.replace("embedder", "embed_tokens")
    if name.startswith("decoder.classifier.classifier."):
        return name.replace("classifier.classifier", "output_projection")
    if name.startswith("decoder.att_rnn.attn."):
        return "decoder.stack.attention." + ATTENTION[name[len("decoder.att_rnn.attn.") :]]
    if name.startswith("decoder.att_rnn.rnn."):
        return name.replace("att_rnn.rnn", "stack.query_lstm")
    if name.startswith("decoder.rnn_layers."):
        return name.replace("rnn_layers", "stack.upper_lstms")
    side, layers, index, weight = name.split(".")
    assert (side, layers) == ("encoder", "rnn_layers"), name
    if index == "0":
        direction = "backward_lstm" if weight.endswith("_reverse") else "forward_lstm"
        return f"encoder.first_layer.{direction}.{weight.removesuffix('_reverse')}"
    return f"encoder.upper_layers.{int(index) - 1}.{weight}"
