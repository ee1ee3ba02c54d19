"""Names of the weights in NVIDIA's GNMT v2 and in this package."""

from typing import Dict

LSTM_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
NAMES = {
    "encoder.embedder.weight": "encoder.embed_tokens.weight",
    "decoder.embedder.weight": "decoder.embed_tokens.weight",
    "decoder.classifier.classifier.weight": "decoder.output_projection.weight",
    "decoder.classifier.classifier.bias": "decoder.output_projection.bias",
    "decoder.att_rnn.attn.linear_att": "decoder.stack.attention.score_vector",
    "decoder.att_rnn.attn.normalize_scalar": "decoder.stack.attention.score_scale",
    "decoder.att_rnn.attn.normalize_bias": "decoder.stack.attention.score_bias",
    "decoder.att_rnn.attn.linear_q.weight": "decoder.stack.attention.query_projection.weight",
    "decoder.att_rnn.attn.linear_k.weight": "decoder.stack.attention.key_projection.weight",
}
WORD_BY_WORD = (  # weights with one row per vocabulary entry
    "encoder.embedder.weight",
    "decoder.embedder.weight",
    "decoder.classifier.classifier.weight",
    "decoder.classifier.classifier.bias",
)


def our_names(layers: int) -> Dict[str, str]:
    """Returns the names of weights in this package, by NVIDIA's names.

    Args:
        layers: number of encoder layers and of decoder layers.
    """
    names = dict(NAMES)
    lstms = {"decoder.att_rnn.rnn": "decoder.stack.query_lstm"}
    for layer in range(1, layers):
        lstms[f"encoder.rnn_layers.{layer}"] = f"encoder.upper_layers.{layer - 1}"
        lstms[f"decoder.rnn_layers.{layer - 1}"] = f"decoder.stack.upper_lstms.{layer - 1}"
    for weight in LSTM_WEIGHTS:
        names[f"encoder.rnn_layers.0.{weight}"] = f"encoder.first_layer.forward_lstm.{weight}"
        names[f"encoder.rnn_layers.0.{weight}_reverse"] = f"encoder.first_layer.backward_lstm.{weight}"
        names.update({f"{nvidia_name}.{weight}": f"{name}.{weight}" for nvidia_name, name in lstms.items()})
    return names
