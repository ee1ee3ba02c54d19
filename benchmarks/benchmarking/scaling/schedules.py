"""Times of tasks that devices compute in order: layers and time chunks in the order of gnmt.network.wavefront."""

from typing import Dict, List, NamedTuple, Sequence, Tuple

from benchmarking.scaling.costs import (
    BACKWARD, Batch, Device, Link, Network, attention_seconds, keys_seconds, lstm_seconds, send_seconds, softmax_seconds,
)  # fmt: skip
from gnmt.network.wavefront import schedule


class Task(NamedTuple):
    """Work of one device, which begins when the device is free and the needed results have arrived."""

    device: int
    seconds: float
    needs: Tuple[int, ...] = ()  # earlier tasks, by their index in the list
    copy_seconds: float = 0.0  # to send the result to another device


def finish_times(tasks: Sequence[Task]) -> List[float]:
    """Returns the end time of each task; each device computes its tasks in the order of the list."""
    free_times: Dict[int, float] = {}
    ends: List[float] = []
    for task in tasks:
        arrivals = [
            ends[predecessor] + (tasks[predecessor].copy_seconds if tasks[predecessor].device != task.device else 0)
            for predecessor in task.needs
        ]
        ends.append(max([free_times.get(task.device, 0.0), *arrivals]) + task.seconds)
        free_times[task.device] = ends[-1]
    return ends


def makespan(tasks: Sequence[Task]) -> float:
    """Returns the time from the start of the first task to the end of the last."""
    return max(finish_times(tasks), default=0.0)


def backward_tasks(tasks: Sequence[Task]) -> List[Task]:
    """Returns the tasks of the backward pass: reverse order, reverse dependencies, and twice the time."""
    last = len(tasks) - 1
    users: List[List[int]] = [[] for _ in tasks]
    for index, task in enumerate(tasks):
        for predecessor in task.needs:
            users[predecessor].append(last - index)
    return [
        Task(tasks[index].device, BACKWARD * tasks[index].seconds, tuple(users[index]), tasks[index].copy_seconds)
        for index in range(last, -1, -1)
    ]


class Layers(NamedTuple):
    """Placement of a network's layers on several devices of one machine."""

    devices: int
    time_chunks: int

    def of_layer(self, layer: int, layers: int) -> int:
        """Returns the device of a layer: the rule of gnmt.network.placement."""
        return layer * self.devices // layers


def forward_tasks(device: Device, link: Link, network: Network, batch: Batch, layers: Layers) -> List[Task]:
    """Returns the tasks of encoder and decoder, without the output layer, as the placed network queues them.

    Args:
        device: rates of a device.
        link: connection of two devices.
        network: sizes of the network.
        batch: batch of the replica.
        layers: placement of the layers, and number of chunks.
    """
    rows, hidden = batch.sentences, network.hidden
    tasks: List[Task] = []

    def add(place: int, seconds: float, needs: Sequence[int], positions: float, multiple: int = 1) -> int:
        size = rows * positions * multiple * hidden * device.number_bytes
        tasks.append(Task(place, seconds, tuple(needs), send_seconds(link, size)))
        return len(tasks) - 1

    lstm_time = lstm_seconds(device, rows, batch.source, hidden, hidden)
    backward_half = add(min(1, layers.devices - 1), lstm_time, [], batch.source)
    halves = [backward_half, add(0, lstm_time, [], batch.source)]
    ends = _wavefront(
        add,
        [halves] * layers.time_chunks,
        [
            (
                layers.of_layer(layer, network.encoder_layers),
                lstm_seconds(
                    device, rows, batch.source / layers.time_chunks, (2 if layer == 1 else 1) * hidden, hidden
                ),
            )
            for layer in range(1, network.encoder_layers)
        ],
        batch.source / layers.time_chunks,
    )
    query = add(0, lstm_seconds(device, rows, batch.target, hidden, hidden), [], batch.target)
    keys = add(0, keys_seconds(device, rows, batch.source, hidden), ends, batch.source)
    chunk = batch.target / layers.time_chunks
    _wavefront(
        add,
        [[query, keys]] * layers.time_chunks,
        [
            (0, attention_seconds(device, rows, batch.source, chunk, hidden)),
            *(
                (layers.of_layer(layer, network.decoder_layers), lstm_seconds(device, rows, chunk, 2 * hidden, hidden))
                for layer in range(1, network.decoder_layers)
            ),
        ],
        chunk,
        multiple=2,  # features and context
    )
    return tasks


def _wavefront(add, inputs, places_and_seconds, positions: float, multiple: int = 1) -> List[int]:
    """Adds the tasks of a stack in wavefront order; returns the tasks of its top layer, one for each chunk.

    Args:
        add: adds a task and returns its index.
        inputs: tasks that each chunk needs.
        places_and_seconds: device of each layer, and its time for a chunk.
        positions: of a chunk.
        multiple: size of a layer's output as a multiple of the hidden size.
    """
    latest = [list(needs) for needs in inputs]  # tasks that the next layer needs, by chunk
    previous: Dict[int, List[int]] = {}  # the task of the previous chunk, by layer
    for layer, chunk in schedule(len(places_and_seconds), len(inputs)):
        place, seconds = places_and_seconds[layer]
        task = add(place, seconds, [*latest[chunk], *previous.get(layer, [])], positions, multiple)
        latest[chunk], previous[layer] = [task], [task]
    return [task for tasks in latest for task in tasks]


def replica_seconds(
    device: Device, link: Link, network: Network, batch: Batch, layers: Layers, softmax_devices: int = 1
) -> float:
    """Returns the time of forward and backward of one replica, on one device or several.

    Args:
        softmax_devices: devices that share the output layer: one in this project, all in Wu et al. (2016).
    """
    tasks = forward_tasks(device, link, network, batch, layers)
    tokens = batch.sentences * batch.target
    softmax = softmax_seconds(device, tokens, network.vocabulary / softmax_devices, network.hidden)
    if softmax_devices > 1:  # features to all devices, their gradients back
        size = tokens * network.hidden * device.number_bytes
        softmax += 2 * (softmax_devices - 1) * send_seconds(link, size)
    return makespan(tasks) + softmax + makespan(backward_tasks(tasks))
