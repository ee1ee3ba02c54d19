"""Options of fairseq-train that describe a network: in checkpoints and on its command line."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple

from gnmt.checkpoints.model_config import ModelConfig

ARCHITECTURE = "gnmt_v2"  # NetworkConfig has the same defaults


class NetworkOption(NamedTuple):
    """Option of fairseq-train, and the field of ModelConfig that has its value."""

    field: str
    option: str
    convert: Callable[[Any], Any]  # from the value of a checkpoint


def unchanged(value: Any) -> Any:
    """Returns the value: ModelConfig checks its type."""
    return value


def negated(value: Any) -> bool:
    """Returns the negation of a flag, in both directions."""
    return not value


# The activation clip is missing here, because a checkpoint stores its value with the weights.
NETWORK_OPTIONS = (
    NetworkOption("hidden_size", "hidden_size", unchanged),
    NetworkOption("encoder_layers", "encoder_layers", unchanged),
    NetworkOption("decoder_layers", "decoder_layers", unchanged),
    NetworkOption("dropout", "dropout", float),
    NetworkOption("share_embeddings", "no_share_embeddings", negated),
    NetworkOption("tie_output_layer", "share_decoder_input_output_embed", bool),
    NetworkOption("attention_query", "attention_query", str),
)


def config_fields(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns the fields of ModelConfig from the options of the model in a checkpoint; absent options are left out."""
    return {field: convert(options[option]) for field, option, convert in NETWORK_OPTIONS if option in options}


def model_options(config: ModelConfig) -> Dict[str, Any]:
    """Returns the options of the model as fairseq-train stores them in a checkpoint."""
    options: Dict[str, Any] = {"_name": ARCHITECTURE}
    for field, option, convert in NETWORK_OPTIONS:
        options[option] = convert(getattr(config, field))
    if config.activation_clip is not None:
        options.update(activation_clip=config.activation_clip, activation_clip_start=config.activation_clip)
    return options


def training_options(config: ModelConfig) -> List[str]:
    """Returns the command-line options of fairseq-train that describe the network and its data, without dropout."""
    options = ["--task", "gnmt_translation", "--arch", ARCHITECTURE]
    options += ["--source-lang", config.source_language, "--target-lang", config.target_language]
    described = {name: value for name, value in model_options(config).items() if name not in ("_name", "dropout")}
    if config.attention_query == "current":  # the default
        del described["attention_query"]
    for name, value in {**described, "nvidia_conventions": config.source_bos}.items():
        if value is not False:
            flag = f"--{name.replace('_', '-')}"
            options += [flag] if value is True else [flag, str(value)]
    return options
