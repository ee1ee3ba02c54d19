"""Parallelism strategies: time of an update, sentences per second and memory of a device.

data parallelism        replicas wait for each other at every update (fairseq-train --distributed-world-size N)
vocabulary parallelism  data parallelism with the output layer divided (--vocabulary-parallel N)
layers                  replicas on several devices of a machine each (--layer-devices)
BMUF                    replicas that merge after several updates (--use-bmuf)
asynchronous            replicas that do not wait for each other (gnmt train --replicas N --asynchronous)
"""

import math
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from benchmarking.scaling.costs import (
    FLOAT_BYTES, ADAM_BYTES, Batch, Cluster, Network, adam_seconds, attention_weights, decoder_weights, encoder_weights, gather_over,
    output_weights, parameters, send_seconds, sum_over,
)  # fmt: skip
from benchmarking.scaling.schedules import Layers, replica_seconds

LOSS_CHUNK = 1024  # tokens with logits in memory at the same time: gnmt/losses/fused_linear_cross_entropy.py
STATE_BYTES = 16  # of a parameter: weight, gradient and Adam's two moments in float32
LSTM_NUMBERS = 12  # kept for the gradient of a unit at a position: gates, states, dropped inputs
REPLICA_BYTES = 8  # of a parameter in an asynchronous replica: weight and gradient
# Bytes of a parameter and update in a server's memory: Adam, gradient in, weight out.
SERVER_BYTES = ADAM_BYTES + 2 * FLOAT_BYTES
BMUF_BYTES = 8  # of a parameter: the merged weights and the block momentum
SYNC_INTERVAL = 50  # fairseq's --global-sync-iter
TIME_CHUNKS = 8
WORTH = 1.5  # gain in speed for which a doubling of the devices pays
INTEGRATION_STEPS, LARGEST_DEVIATION = 4000, 8.0  # of the expectation of a maximum, in standard deviations
ONE_DEVICE = Layers(devices=1, time_chunks=1)


class Setting(NamedTuple):
    """A training run: its cluster, network, and the batch of one replica."""

    cluster: Cluster
    network: Network
    batch: Batch


class Estimate(NamedTuple):
    """Prediction for a number of devices."""

    devices: int
    update_seconds: float  # of one replica, everything included
    sentences_per_second: float
    memory: float  # bytes of the fullest device


def waiting_factor(spread: float, replicas: int, updates: int = 1) -> float:
    """Returns the expected longest time of replicas divided by the mean time, if they wait after a number of updates.

    Times are assumed to be normally distributed and independent; the mean of several updates varies less.

    Args:
        spread: standard deviation of the time of an update, as a share of its mean.
        replicas: number of replicas.
        updates: number of updates between two waits.
    """
    return 1 + spread / math.sqrt(updates) * expected_largest(replicas)


def expected_largest(count: int) -> float:
    """Returns the expectation of the largest of n independent standard normal variables.

    It is the integral of 1 - F(x)^n over positive x minus the integral of F(x)^n over negative x.
    """
    interval = LARGEST_DEVIATION / INTEGRATION_STEPS
    total = 0.0
    for step in range(INTEGRATION_STEPS):
        x = (step + 0.5) * interval
        above, below = 0.5 * math.erfc(-x / math.sqrt(2)), 0.5 * math.erfc(x / math.sqrt(2))
        total += (1 - above**count) - below**count
    return total * interval


def one_replica(setting: Setting, layers: Layers = ONE_DEVICE, softmax_devices: int = 1) -> float:
    """Returns the time of forward and backward of one replica.

    Args:
        setting: cluster, network and batch of a replica.
        layers: devices of the replica and chunks of a sequence.
        softmax_devices: devices that share the output layer.
    """
    cluster, network, batch = setting
    return replica_seconds(cluster.device, cluster.inside, network, batch, layers, softmax_devices)


def activations(network: Network, batch: Batch) -> float:
    """Returns the numbers that the gradient needs: of the LSTM layers, and the logits of one chunk."""
    source = batch.source * (network.encoder_layers + 1)  # the first layer has two directions
    units = batch.sentences * (source + batch.target * network.decoder_layers) * network.hidden
    return LSTM_NUMBERS * units + LOSS_CHUNK * network.vocabulary


def memory_of_replica(setting: Setting, devices: int = 1, state_bytes: int = STATE_BYTES) -> float:
    """Returns the bytes of a replica on its fullest device; the activations are divided evenly.

    Args:
        setting: cluster, network and batch of a replica.
        devices: devices of the replica.
        state_bytes: bytes of a parameter: weight, gradient and moments.
    """
    cluster, network, batch = setting
    logits = LOSS_CHUNK * network.vocabulary
    numbers = (activations(network, batch) - logits) / devices + logits
    return state_bytes * max(weights_by_device(network, devices)) + cluster.device.number_bytes * numbers


def data_parallel(setting: Setting, devices: int) -> Estimate:
    """Returns the estimate if each device has its batch, and gradients are summed after the backward pass.

    Args:
        setting: cluster, network and batch of a replica.
        devices: number of devices.
    """
    weights = parameters(setting.network)
    seconds = one_replica(setting) * waiting_factor(setting.cluster.spread, devices)
    seconds += sum_over(setting.cluster, setting.cluster.device.number_bytes * weights, devices)
    seconds += adam_seconds(setting.cluster.device, weights)
    return Estimate(devices, seconds, devices * setting.batch.sentences / seconds, memory_of_replica(setting))


def vocabulary_parallel(setting: Setting, devices: int) -> Estimate:
    """Returns the estimate if each device computes the output layer of all tokens for a part of the vocabulary.

    Args:
        setting: cluster, network, and batch of a device.
        devices: number of devices.
    """
    cluster, network, batch = setting
    split = output_weights(network)
    shared = parameters(network) - split
    tokens = devices * batch.sentences * batch.target
    features = tokens * network.hidden * cluster.device.number_bytes
    # The products equal those of one batch with the whole vocabulary. Messages of a chunk: maximum, three sums.
    reductions = tokens / LOSS_CHUNK
    statistics = reductions * (
        sum_over(cluster, LOSS_CHUNK * FLOAT_BYTES, devices) + sum_over(cluster, 3 * LOSS_CHUNK * FLOAT_BYTES, devices)
    )
    seconds = one_replica(setting) * waiting_factor(cluster.spread, devices)
    if devices > 1:
        seconds += gather_over(cluster, features, devices) + sum_over(cluster, features, devices) + statistics
    seconds += sum_over(cluster, cluster.device.number_bytes * shared, devices)
    seconds += adam_seconds(cluster.device, shared + split / devices)
    memory = memory_of_replica(setting) - (1 - 1 / devices) * (
        STATE_BYTES * split + cluster.device.number_bytes * LOSS_CHUNK * network.vocabulary
    )
    memory += 2 * features if devices > 1 else 0.0
    return Estimate(devices, seconds, devices * batch.sentences / seconds, memory)


def layers_on_devices(setting: Setting, devices: int, softmax_devices: int = 1) -> Optional[Estimate]:
    """Returns the estimate for data-parallel replicas on several devices each, at most one device per layer.

    None if the devices cannot be divided into replicas of equal size.

    Args:
        setting: cluster, network and batch of a replica.
        devices: number of devices of all replicas together.
        softmax_devices: devices of a replica that share the output layer.
    """
    cluster, network, batch = setting
    limit = min(cluster.devices_per_machine, max(network.encoder_layers, network.decoder_layers))
    devices_per_replica = min(devices, limit)
    if devices % devices_per_replica:
        return None
    replicas = devices // devices_per_replica
    layers = Layers(devices_per_replica, TIME_CHUNKS if devices_per_replica > 1 else 1)
    seconds = one_replica(setting, layers, min(softmax_devices, devices_per_replica)) * waiting_factor(
        cluster.spread, replicas
    )
    by_device = weights_by_device(network, devices_per_replica)
    largest = max(by_device)
    if replicas > 1:
        seconds += _sum_over_replicas(cluster, cluster.device.number_bytes * largest, replicas, devices_per_replica)
    seconds += adam_seconds(cluster.device, largest)
    memory = memory_of_replica(setting, devices_per_replica)
    return Estimate(devices, seconds, replicas * batch.sentences / seconds, memory)


def _sum_over_replicas(cluster: Cluster, size: float, replicas: int, devices_of_replica: int) -> float:
    """Returns the time in which each device sums its layers with the same device of the other replicas."""
    per_machine = cluster.devices_per_machine // devices_of_replica
    return sum_over(cluster._replace(devices_per_machine=max(1, per_machine)), size, replicas)


def weights_by_device(network: Network, devices: int) -> List[int]:
    """Returns the parameters of each device: the placement of gnmt.network.placement, untied."""
    counts = [0] * devices
    layers = Layers(devices, 1)
    counts[0] += network.vocabulary * network.hidden + attention_weights(network) + encoder_weights(network, 0) // 2
    counts[min(1, devices - 1)] += encoder_weights(network, 0) // 2
    for layer in range(1, network.encoder_layers):
        counts[layers.of_layer(layer, network.encoder_layers)] += encoder_weights(network, layer)
    for layer in range(network.decoder_layers):
        counts[layers.of_layer(layer, network.decoder_layers)] += decoder_weights(network, layer)
    counts[-1] += output_weights(network)
    return counts


def bmuf(setting: Setting, devices: int, interval: int = SYNC_INTERVAL) -> Estimate:
    """Returns the estimate if replicas update their own weights, and sum the changes of `interval` updates.

    Args:
        setting: cluster, network and batch of a replica.
        devices: number of devices.
        interval: updates between two synchronisations.
    """
    cluster, network, batch = setting
    weights = parameters(network)
    seconds = one_replica(setting) * waiting_factor(cluster.spread, devices, interval)
    seconds += adam_seconds(cluster.device, weights)
    seconds += sum_over(cluster, FLOAT_BYTES * weights, devices) / interval
    memory = memory_of_replica(setting) + BMUF_BYTES * weights
    return Estimate(devices, seconds, devices * batch.sentences / seconds, memory)


def asynchronous(setting: Setting, devices: int, layers: Layers = ONE_DEVICE, softmax_devices: int = 1) -> Estimate:
    """Returns the estimate if replicas exchange gradients and parameters with servers through their machines' memory.

    The servers of all machines share the parameters; an update costs them the accesses of Adam.

    Args:
        layers: devices of each replica, which is one by default.
        softmax_devices: devices of a replica that share the output layer.
    """
    cluster, network, batch = setting
    size = FLOAT_BYTES * parameters(network)
    replicas = max(1, devices // layers.devices)
    machines = -(-devices // cluster.devices_per_machine)
    exchange = 2 * send_seconds(cluster.to_host, size / layers.devices)
    if machines > 1:
        exchange += 2 * send_seconds(cluster.between, size * (1 - 1 / machines))
    replica = one_replica(setting, layers, softmax_devices) + exchange
    server_seconds = SERVER_BYTES * parameters(network) / (machines * cluster.host_memory_rate)
    updates_per_second = min(replicas / replica, 1 / server_seconds)
    memory = memory_of_replica(setting, layers.devices, REPLICA_BYTES)
    return Estimate(devices, replicas / updates_per_second, updates_per_second * batch.sentences, memory)


Strategy = Callable[[Setting, int], Optional[Estimate]]
STRATEGIES: Dict[str, Strategy] = {
    "data parallelism": data_parallel,
    "vocabulary parallelism": vocabulary_parallel,
    "layers": layers_on_devices,
    "BMUF": bmuf,
    "asynchronous": asynchronous,
}


def shared_batch(strategy: Strategy, setting: Setting, devices: int) -> Optional[Estimate]:
    """Returns the estimate for one batch that is divided over all devices; `strategy` alone gives each replica a batch.

    None if there are more devices than sentences.

    Args:
        strategy: one of STRATEGIES.
        setting: cluster, network, and batch of all devices together.
        devices: number of devices.
    """
    estimate = strategy(setting, devices)
    if estimate is None:
        return None
    replicas = round(estimate.sentences_per_second * estimate.update_seconds / setting.batch.sentences)
    if setting.batch.sentences % replicas:
        return None
    batch = setting.batch._replace(sentences=setting.batch.sentences // replicas)
    return strategy(setting._replace(batch=batch), devices)


def stops_paying(strategy: Strategy, setting: Setting, counts: Sequence[int]) -> int:
    """Returns the last number of devices that has at least WORTH times the speed of half the devices.

    Args:
        counts: numbers of devices, each twice the number before.
    """
    paying_devices, previous_speed = counts[0], None
    for devices in counts:
        estimate = strategy(setting, devices)
        if estimate is None:
            continue
        if previous_speed is not None and estimate.sentences_per_second < WORTH * previous_speed:
            break
        paying_devices, previous_speed = devices, estimate.sentences_per_second
    return paying_devices
