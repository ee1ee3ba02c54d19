"""Output layer and embeddings divided over processes, and their conversion from and to whole layers."""

from contextlib import contextmanager
from typing import Dict, Iterator, List, MutableMapping, Tuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gnmt.training.batch_shares import all_gather
from gnmt.training.vocabulary_shards import VocabularyShard, gather_shards, rows_of_shard, tokens_of_shard

WholeWeights = Dict[int, nn.Parameter]  # whole parameter by the id of its shard


class ShardedProjection(nn.Module):
    """Shard of the output layer: weights (V', H) and biases (V',), used by gnmt.losses.sharded_cross_entropy.

    Args:
        weight: (V', H).
        bias: (V',).
        shard: entries of the vocabulary in this process.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, shard: VocabularyShard):
        super().__init__()
        self.weight, self.bias, self.shard = weight, bias, shard

    def whole(self, weights: "WholeWeights") -> nn.Linear:
        """Returns the layer with the weights of all processes."""
        linear = nn.Linear(self.weight.size(1), self.shard.vocabulary_size, device="meta")
        linear.weight, linear.bias = weights[id(self.weight)], weights[id(self.bias)]
        return linear


class ShardedEmbedding(nn.Module):
    """Shard (V', H) of the embeddings. All processes must call it with tokens of equal shapes.

    Args:
        weight: (V', H).
        padding_idx: index of PAD.
        shard: entries of the vocabulary in this process.
    """

    def __init__(self, weight: nn.Parameter, padding_idx: int, shard: VocabularyShard):
        super().__init__()
        self.weight, self.padding_idx, self.shard = weight, padding_idx, shard

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the vectors (..., H) of the tokens (...) of this process, gathered from all processes."""
        return _ShardedLookup.apply(tokens, self.weight, self.padding_idx, self.shard)

    def whole(self, weights: "WholeWeights") -> nn.Embedding:
        """Returns the layer with the vectors of all processes."""
        return nn.Embedding.from_pretrained(weights[id(self.weight)], padding_idx=self.padding_idx)


class _ShardedLookup(torch.autograd.Function):
    """Embedding lookup in all shards.

    Each process gathers the tokens of all processes and looks up the tokens of its shard. A reduce-scatter returns the
    vectors of each process's own tokens.
    """

    @staticmethod
    def forward(ctx, tokens: Tensor, weight: Tensor, padding_idx: int, shard: VocabularyShard) -> Tensor:
        gathered_tokens = all_gather(tokens)
        rows, is_local = tokens_of_shard(gathered_tokens, shard)
        vectors = nn.functional.embedding(rows, weight).masked_fill_(~is_local[..., None], 0)
        vectors_of_process = torch.empty_like(vectors[0])
        dist.reduce_scatter(vectors_of_process, list(vectors))
        # As in nn.Embedding, PAD has no gradient.
        ctx.save_for_backward(rows, is_local & (gathered_tokens != padding_idx))
        ctx.size = shard.size
        return vectors_of_process

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        rows, counted = ctx.saved_tensors
        gradients = all_gather(gradient)
        weight_gradient = gradient.new_zeros(ctx.size, gradient.size(-1))
        weight_gradient.index_add_(0, rows[counted], gradients[counted])
        return None, weight_gradient, None, None


def shard_vocabulary(network: nn.Module, shard: VocabularyShard) -> None:
    """Replaces a network's output layer, and embeddings tied to it, by the rows of a shard, in place.

    Names and order of the parameters do not change.

    Args:
        network: has `encoder.embed_tokens`, `decoder.embed_tokens` and `decoder.output_projection`.
        shard: shard of this process.
    """
    projection = network.get_submodule("decoder.output_projection")
    weight = nn.Parameter(rows_of_shard(projection.weight.detach(), shard))
    bias = nn.Parameter(rows_of_shard(projection.bias.detach(), shard))
    for half in ("encoder", "decoder"):
        embedding = network.get_submodule(f"{half}.embed_tokens")
        if embedding.weight is projection.weight:
            network.set_submodule(f"{half}.embed_tokens", ShardedEmbedding(weight, embedding.padding_idx, shard))
    network.set_submodule("decoder.output_projection", ShardedProjection(weight, bias, shard))


def sharded_layers(network: nn.Module) -> Dict[str, nn.Module]:
    """Returns the sharded layers of a network by name; an empty dictionary if it has none."""
    modules = network.named_modules(remove_duplicate=False)
    return {name: layer for name, layer in modules if isinstance(layer, (ShardedProjection, ShardedEmbedding))}


def split_parameters(network: nn.Module) -> Tuple[List[nn.Parameter], List[nn.Parameter]]:
    """Returns the replicated parameters and the sharded parameters of a network."""
    sharded = {id(weight) for layer in sharded_layers(network).values() for weight in layer.parameters()}
    parts: Tuple[List[nn.Parameter], List[nn.Parameter]] = ([], [])
    for parameter in network.parameters():
        parts[id(parameter) in sharded].append(parameter)
    return parts


def whole_weights(network: nn.Module) -> WholeWeights:
    """Gathers the sharded parameters without gradients, tied weights only once. All processes must call it."""
    whole: WholeWeights = {}
    for layer in sharded_layers(network).values():
        for parameter in layer.parameters():
            if id(parameter) not in whole:
                whole[id(parameter)] = nn.Parameter(gather_shards(parameter, layer.shard), requires_grad=False)
    return whole


def gather_layers(network: nn.Module) -> Dict[str, nn.Module]:
    """Returns whole layers in place of a network's sharded layers, by name. All processes must call it."""
    weights = whole_weights(network)
    return {name: layer.whole(weights) for name, layer in sharded_layers(network).items()}


@contextmanager
def with_layers(network: nn.Module, layers: Dict[str, nn.Module]) -> Iterator[None]:
    """Replaces the layers of these names in a network during the `with` statement."""
    originals = {name: network.get_submodule(name) for name in layers}
    try:
        for name, layer in layers.items():
            network.set_submodule(name, layer)
        yield
    finally:
        for name, layer in originals.items():
            network.set_submodule(name, layer)


def gather_weights(network: nn.Module, weights: MutableMapping[str, Tensor]) -> None:
    """Replaces the sharded tensors among a network's weights by whole tensors, in place. All processes must call it."""
    whole = whole_weights(network)
    for name, layer in sharded_layers(network).items():
        for part, parameter in layer.named_parameters():
            weights[f"{name}.{part}"] = whole[id(parameter)].detach()


def shard_weights(network: nn.Module, weights: MutableMapping[str, Tensor]) -> None:
    """Replaces whole tensors among weights by the shards of a network's layers, in place."""
    for name, layer in sharded_layers(network).items():
        for part, _ in layer.named_parameters():
            weights[f"{name}.{part}"] = rows_of_shard(weights[f"{name}.{part}"], layer.shard)
