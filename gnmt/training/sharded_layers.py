"""Output layer and embeddings of a network that are divided over processes, and their whole counterparts."""

from contextlib import contextmanager
from typing import Dict, Iterator, List, MutableMapping, Tuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gnmt.training.batch_shares import all_gather
from gnmt.training.vocabulary_shards import VocabularyShard, gather_shards, held_symbols, rows_of_shard

WholeWeights = Dict[int, nn.Parameter]  # by the id of the parameter that is a shard of them


class ShardedProjection(nn.Module):
    """Weights (V', H) and biases (V',) of the output layer of this process; gnmt.training.sharded_loss uses them."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, shard: VocabularyShard):
        super().__init__()
        self.weight, self.bias, self.shard = weight, bias, shard

    def whole(self, weights: "WholeWeights") -> nn.Linear:
        """Returns the layer with the weights of all processes."""
        linear = nn.Linear(self.weight.size(1), self.shard.vocabulary_size, device="meta")
        linear.weight, linear.bias = weights[id(self.weight)], weights[id(self.bias)]
        return linear


class ShardedEmbedding(nn.Module):
    """Embeddings (V', H) of the symbols of this process; every process looks up tokens of one shape at a time."""

    def __init__(self, weight: nn.Parameter, padding_idx: int, shard: VocabularyShard):
        super().__init__()
        self.weight, self.padding_idx, self.shard = weight, padding_idx, shard

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the vectors (..., H) of the tokens (...) of this process, most of which other processes hold."""
        return _ShardedLookup.apply(tokens, self.weight, self.padding_idx, self.shard)

    def whole(self, weights: "WholeWeights") -> nn.Embedding:
        """Returns the layer with the vectors of all processes."""
        return nn.Embedding.from_pretrained(weights[id(self.weight)], padding_idx=self.padding_idx)


class _ShardedLookup(torch.autograd.Function):
    """Each process reads the tokens of all, looks up those that it holds, and gets the sum of what all have for its own."""

    @staticmethod
    def forward(ctx, tokens: Tensor, weight: Tensor, padding_idx: int, shard: VocabularyShard) -> Tensor:
        everyones = all_gather(tokens)
        rows, held = held_symbols(everyones, shard)
        vectors = nn.functional.embedding(rows, weight).masked_fill_(~held[..., None], 0)
        own = torch.empty_like(vectors[0])
        dist.reduce_scatter(own, list(vectors))
        # As in nn.Embedding, PAD has no gradient.
        ctx.save_for_backward(rows, held & (everyones != padding_idx))
        ctx.size = shard.size
        return own

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        rows, counted = ctx.saved_tensors
        gradients = all_gather(gradient)
        weight_gradient = gradient.new_zeros(ctx.size, gradient.size(-1))
        weight_gradient.index_add_(0, rows[counted], gradients[counted])
        return None, weight_gradient, None, None


def shard_vocabulary(network: nn.Module, shard: VocabularyShard) -> None:
    """Keeps of a network's output layer, and of embeddings that are tied to it, only the rows of a shard.

    Names and order of the parameters stay.

    Args:
        network: with `encoder.embed_tokens`, `decoder.embed_tokens` and `decoder.output_projection`.
        shard: of this process.
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
    """Returns the sharded layers of a network by name; none for a network that is whole."""
    modules = network.named_modules(remove_duplicate=False)
    return {name: layer for name, layer in modules if isinstance(layer, (ShardedProjection, ShardedEmbedding))}


def split_parameters(network: nn.Module) -> Tuple[List[nn.Parameter], List[nn.Parameter]]:
    """Returns the parameters that every process has, and those of which each has its shard."""
    sharded = {id(weight) for layer in sharded_layers(network).values() for weight in layer.parameters()}
    parts: Tuple[List[nn.Parameter], List[nn.Parameter]] = ([], [])
    for parameter in network.parameters():
        parts[id(parameter) in sharded].append(parameter)
    return parts


def whole_weights(network: nn.Module) -> WholeWeights:
    """Gathers what each process has a shard of, without gradients; tied weights once. All processes call it."""
    whole: WholeWeights = {}
    for layer in sharded_layers(network).values():
        for parameter in layer.parameters():
            if id(parameter) not in whole:
                whole[id(parameter)] = nn.Parameter(gather_shards(parameter, layer.shard), requires_grad=False)
    return whole


def gather_layers(network: nn.Module) -> Dict[str, nn.Module]:
    """Returns whole counterparts of a network's sharded layers by name. All processes call it."""
    weights = whole_weights(network)
    return {name: layer.whole(weights) for name, layer in sharded_layers(network).items()}


@contextmanager
def with_layers(network: nn.Module, layers: Dict[str, nn.Module]) -> Iterator[None]:
    """Lets a network have other layers of these names inside the `with` statement."""
    own = {name: network.get_submodule(name) for name in layers}
    try:
        for name, layer in layers.items():
            network.set_submodule(name, layer)
        yield
    finally:
        for name, layer in own.items():
            network.set_submodule(name, layer)


def gather_weights(network: nn.Module, weights: MutableMapping[str, Tensor]) -> None:
    """Replaces the shards among a network's weights by whole ones, in place. All processes call it."""
    whole = whole_weights(network)
    for name, layer in sharded_layers(network).items():
        for part, parameter in layer.named_parameters():
            weights[f"{name}.{part}"] = whole[id(parameter)].detach()


def shard_weights(network: nn.Module, weights: MutableMapping[str, Tensor]) -> None:
    """Replaces whole weights by the shards that a network has, in place."""
    for name, layer in sharded_layers(network).items():
        for part, _ in layer.named_parameters():
            weights[f"{name}.{part}"] = rows_of_shard(weights[f"{name}.{part}"], layer.shard)
