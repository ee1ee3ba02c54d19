"""Seconds of the parts of a training update and of the messages between devices; pure functions of rates.

The time of a part is the time of its matrix products, of its memory accesses, or of the steps of its recurrence. A
message takes latency + bytes / rate.

Shapes: B sentences, S source positions, T target positions, H hidden size, V vocabulary size, N tokens.
"""

from typing import NamedTuple

BACKWARD = 2  # the gradient of a matrix product consists of two products
FLOAT_BYTES = 4
ADAM_BYTES = 28  # reads weight, gradient and two moments, writes weight and moments: 7 float32 numbers
# Accesses of an element by the code of this project, forward and backward, in numbers of the training's precision.
ATTENTION_ACCESSES = 13  # gnmt/network/attention.py: sums, tanh and products over them, and again for the gradient
LOGIT_ACCESSES = 7  # gnmt/losses/fused_linear_cross_entropy.py: product, largest, softmax, target, two products


class Device(NamedTuple):
    """Rates of one device, and their source."""

    name: str
    product_rate: float  # floating-point operations per second of large matrix products, as reached in practice
    memory_rate: float  # bytes per second
    step_seconds: float  # minimum time of one step of a recurrence
    call_seconds: float  # lost at each call of a layer
    number_bytes: int  # of activations
    memory: float  # bytes
    source: str = ""


class Link(NamedTuple):
    """A connection of two devices, in one direction."""

    name: str
    rate: float  # bytes per second
    latency: float  # seconds of a message
    source: str = ""


class Cluster(NamedTuple):
    """Equal machines with equal devices."""

    device: Device
    devices_per_machine: int
    inside: Link  # between devices of a machine
    between: Link  # of each device to other machines
    to_host: Link  # between a device and the memory of its machine
    host_memory_rate: float  # bytes per second of a machine's processors
    spread: float  # standard deviation of the time of an update between batches, as a share of its mean


class Network(NamedTuple):
    """Sizes of GNMT; one embedding for both languages, and a separate output layer."""

    hidden: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int


class Batch(NamedTuple):
    """A batch of one update."""

    sentences: int
    source: int  # positions, EOS and padding included
    target: int


def lstm_weights(inputs: int, hidden: int) -> int:
    """Returns the parameters of an LSTM layer: 4H (I + H) weights and two biases of 4H.

    Args:
        inputs: input size I.
        hidden: hidden size H.
    """
    return 4 * hidden * (inputs + hidden + 2)


def encoder_weights(network: Network, layer: int) -> int:
    """Returns the parameters of an encoder layer, from 0; the first has two directions."""
    hidden = network.hidden
    if layer == 0:
        return 2 * lstm_weights(hidden, hidden)
    return lstm_weights(2 * hidden if layer == 1 else hidden, hidden)


def decoder_weights(network: Network, layer: int) -> int:
    """Returns the parameters of a decoder layer, from 0; layers above the first also read the context."""
    return lstm_weights(network.hidden if layer == 0 else 2 * network.hidden, network.hidden)


def output_weights(network: Network) -> int:
    """Returns the parameters of the output layer."""
    return network.vocabulary * (network.hidden + 1)


def attention_weights(network: Network) -> int:
    """Returns the parameters of the attention: two projections, a score vector, its bias and its scale."""
    return 2 * network.hidden**2 + 2 * network.hidden + 1


def parameters(network: Network) -> int:
    """Returns the number of parameters."""
    encoder = sum(encoder_weights(network, layer) for layer in range(network.encoder_layers))
    decoder = sum(decoder_weights(network, layer) for layer in range(network.decoder_layers))
    embedding = network.vocabulary * network.hidden
    return embedding + encoder + attention_weights(network) + decoder + output_weights(network)


def lstm_seconds(device: Device, rows: int, positions: float, inputs: int, hidden: int) -> float:
    """Returns the forward time of an LSTM layer: one product for all inputs, then a step for each position.

    Args:
        device: rates of the device.
        rows: B.
        positions: positions of a sequence.
        inputs: input size.
        hidden: H.
    """
    input_product = 8 * rows * positions * inputs * hidden / device.product_rate
    step = max(device.step_seconds, 8 * rows * hidden**2 / device.product_rate)
    return device.call_seconds + input_product + positions * step


def attention_seconds(device: Device, rows: int, source: float, target: float, hidden: int) -> float:
    """Returns a third of the time of the attention forward and backward; its (T, S, H) sums are bound by memory.

    Args:
        device: rates of the device.
        rows: B.
        source: S.
        target: T.
        hidden: H.
    """
    query_product = 2 * rows * target * hidden**2 / device.product_rate
    sums = rows * source * target * hidden * ATTENTION_ACCESSES * device.number_bytes / device.memory_rate
    return device.call_seconds + query_product + sums / (1 + BACKWARD)


def keys_seconds(device: Device, rows: int, source: float, hidden: int) -> float:
    """Returns the forward time of the projection of the attention's keys.

    Args:
        device: rates of the device.
        rows: B.
        source: S.
        hidden: H.
    """
    return 2 * rows * source * hidden**2 / device.product_rate


def softmax_seconds(device: Device, tokens: float, vocabulary: float, hidden: int) -> float:
    """Returns the time of the output layer and its loss, forward and backward.

    Args:
        device: rates of the device.
        tokens: N.
        vocabulary: V.
        hidden: H.
    """
    products = (1 + BACKWARD) * 2 * tokens * vocabulary * hidden / device.product_rate
    return products + tokens * vocabulary * LOGIT_ACCESSES * device.number_bytes / device.memory_rate


def adam_seconds(device: Device, weights: float) -> float:
    """Returns the time of Adam for a number of parameters."""
    return weights * ADAM_BYTES / device.memory_rate


def send_seconds(link: Link, size: float) -> float:
    """Returns the time of a message of `size` bytes."""
    return link.latency + size / link.rate


def all_reduce_seconds(link: Link, size: float, devices: int) -> float:
    """Returns the time to sum `size` bytes over devices in a ring: 2 (n - 1) messages of size / n.

    Source: nccl-tests, doc/PERFORMANCE.md, with the latency of each message added.

    Args:
        link: connection of two devices of the ring.
        size: bytes.
        devices: n.
    """
    return 2 * (devices - 1) * send_seconds(link, size / devices)


def all_gather_seconds(link: Link, size: float, devices: int) -> float:
    """Returns the time to give every device the `size` bytes of all, size / n from each: n - 1 messages.

    Args:
        link: connection of two devices of the ring.
        size: bytes of all devices together.
        devices: n.
    """
    return (devices - 1) * send_seconds(link, size / devices)


def sum_over(cluster: Cluster, size: float, devices: int) -> float:
    """Returns the time to sum `size` bytes over devices of a cluster.

    Each machine sums over its devices. Then each device sums its share with the corresponding devices of the other
    machines; every device has a network port.
    """
    inside = min(devices, cluster.devices_per_machine)
    machines = -(-devices // cluster.devices_per_machine)
    return all_reduce_seconds(cluster.inside, size, inside) + all_reduce_seconds(
        cluster.between, size / inside, machines
    )


def gather_over(cluster: Cluster, size: float, devices: int) -> float:
    """Returns the time to give every device of a cluster the `size` bytes of all devices."""
    inside = min(devices, cluster.devices_per_machine)
    machines = -(-devices // cluster.devices_per_machine)
    return all_gather_seconds(cluster.between, size / inside, machines) + all_gather_seconds(
        cluster.inside, size, inside
    )
