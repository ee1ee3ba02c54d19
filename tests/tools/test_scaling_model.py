"""Tests the model of training on several devices: formulas by hand, published figures, tables and picture."""

import sys
from pathlib import Path

import pytest
import torch
from png import file_size

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import scaling_model  # noqa: E402
from benchmarking.scaling import tables  # noqa: E402
from benchmarking.scaling.costs import (  # noqa: E402
    Batch, Cluster, Device, Link, Network, adam_seconds, all_gather_seconds, all_reduce_seconds, attention_seconds,
    lstm_seconds, output_weights, parameters, send_seconds, softmax_seconds, sum_over,
)  # fmt: skip
from benchmarking.scaling.curves import SIDE_INCHES  # noqa: E402
from benchmarking.scaling.machines import BATCH, DGX_A100, GNMT_PAPER, GNMT_V2  # noqa: E402
from benchmarking.scaling.schedules import (  # noqa: E402
    Layers, Task, backward_tasks, finish_times, forward_tasks, makespan, replica_seconds,
)  # fmt: skip
from benchmarking.scaling.two_processes import (  # noqa: E402
    Calibration, Measured, Parts, describe, fitted_link, predictions, rows_of,
)  # fmt: skip
from benchmarking.scaling.parallelism import (  # noqa: E402
    STRATEGIES, Setting, asynchronous, bmuf, data_parallel, expected_largest, layers_on_devices, shared_batch, stops_paying,
    vocabulary_parallel, waiting_factor, weights_by_device,
)  # fmt: skip
from gnmt.errors import UserError  # noqa: E402
from gnmt.network.config import NetworkConfig  # noqa: E402
from gnmt.network.gnmt import GNMTNetwork  # noqa: E402
from gnmt.network.placement import Placement  # noqa: E402
from gnmt.plots.pictures import DOTS_PER_INCH  # noqa: E402

# One operation and one byte take one second each, so seconds count operations and bytes.
UNIT = Device("unit", 1.0, 1.0, step_seconds=0.0, call_seconds=0.0, number_bytes=1, memory=1.0)
LINK = Link("unit", rate=1.0, latency=10.0)
SMALL = Network(hidden=2, encoder_layers=3, decoder_layers=2, vocabulary=7)
A100_SETTING = Setting(DGX_A100, GNMT_V2, BATCH)


def test_parameter_counts_equal_the_network():
    for sizes in (SMALL, Network(4, 2, 3, 9)):
        config = NetworkConfig(
            sizes.vocabulary, sizes.vocabulary, hidden_size=sizes.hidden,
            encoder_layers=sizes.encoder_layers, decoder_layers=sizes.decoder_layers,
        )  # fmt: skip
        model = GNMTNetwork(config)
        assert parameters(sizes) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_parameter_counts_of_devices_equal_a_placed_network(devices):
    config = NetworkConfig(7, 7, hidden_size=2, encoder_layers=3, decoder_layers=2)
    model, places = GNMTNetwork(config), [torch.device("cuda", number) for number in range(devices)]
    parameters_by_device = dict.fromkeys(places, 0)
    placement = Placement(tuple(places))
    stacks = {"encoder.upper_layers": 3, "decoder.stack.upper_lstms": 2}
    for name, parameter in model.named_parameters():
        place = places[0]
        for stack, layers in stacks.items():
            if name.startswith(stack):
                place = placement.device_of(1 + int(name[len(stack) + 1 :].split(".")[0]), layers)
        if "backward_lstm" in name:
            place = places[:2][-1]
        if "output_projection" in name:
            place = places[-1]
        parameters_by_device[place] += parameter.numel()
    assert weights_by_device(SMALL, devices) == list(parameters_by_device.values())


# -- parts


def test_an_lstm_is_bound_by_products_or_by_steps():
    """3 rows, 5 positions, 2 inputs, 4 hidden: 8 * 3 * 5 * 2 * 4 operations of the inputs, then 5 times 8 * 3 * 16."""
    assert lstm_seconds(UNIT, 3, 5, 2, 4) == 960 + 5 * 384
    assert lstm_seconds(UNIT._replace(step_seconds=1000.0, call_seconds=7.0), 3, 5, 2, 4) == 7 + 960 + 5 * 1000


def test_attention_output_layer_and_adam():
    """A product is 2 operations; a sum has 13 memory accesses, a logit 7, and Adam moves 28 bytes for each weight."""
    assert attention_seconds(UNIT, 3, 5, 2, 4) == pytest.approx(2 * 3 * 2 * 16 + 3 * 5 * 2 * 4 * 13 / 3)
    assert softmax_seconds(UNIT, 10, 6, 4) == 3 * 2 * 10 * 6 * 4 + 10 * 6 * 7
    assert adam_seconds(UNIT, 100) == 2800


def test_messages():
    assert send_seconds(LINK, 90) == 100
    assert all_reduce_seconds(LINK, 60, 3) == 4 * (10 + 20)
    assert all_gather_seconds(LINK, 60, 3) == 2 * (10 + 20)
    assert all_reduce_seconds(LINK, 60, 1) == 0


def test_sums_over_machines():
    """Four devices on two machines: 2 messages of 30 within a machine, then 2 messages of 15 for each device's half."""
    slow = Link("slow", rate=0.5, latency=0.0)
    cluster = Cluster(UNIT, 2, LINK, slow, LINK, 1.0, spread=0.0)
    assert sum_over(cluster, 60, 4) == 2 * (10 + 30) + 2 * (15 / 0.5)
    assert sum_over(cluster, 60, 2) == 2 * (10 + 30)
    assert sum_over(cluster, 60, 1) == 0


# -- schedules


def test_tasks_wait_for_their_device_and_for_what_they_need():
    tasks = [Task(0, 2, (), 1), Task(0, 2, (), 1), Task(1, 3, (0,)), Task(1, 3, (1,)), Task(0, 1, (3,))]
    assert finish_times(tasks) == [2, 4, 6, 9, 10]
    assert makespan([]) == 0


def test_backward_runs_in_reverse_order():
    """Two chunks through two devices: 1 + 1 on the first, 2 + 2 on the second; backward takes twice as long, in
    reverse.
    """
    tasks = [Task(0, 1), Task(0, 1), Task(1, 2, (0,)), Task(1, 2, (1, 2))]
    assert makespan(tasks) == 5
    back = backward_tasks(tasks)
    assert [task.device for task in back] == [1, 1, 0, 0]
    assert finish_times(back) == [4, 8, 6, 10]


def test_layers_on_one_device_take_the_sum():
    batch = Batch(3, 4, 5)
    tasks = forward_tasks(UNIT, LINK, SMALL, batch, Layers(1, 1))
    assert makespan(tasks) == pytest.approx(sum(task.seconds for task in tasks))
    assert replica_seconds(UNIT, LINK, SMALL, batch, Layers(1, 1)) == pytest.approx(
        3 * makespan(tasks) + softmax_seconds(UNIT, 15, 7, 2)
    )


def test_chunks_through_equal_layers():
    """Layers of equal cost: with C chunks, a device is idle until the chunk reaches it."""
    fast = Link("fast", rate=1e18, latency=0.0)
    network, batch = Network(2, 5, 2, 7), Batch(1, 60, 60)
    device = UNIT._replace(step_seconds=1e6)  # a position is one step, whatever its inputs
    one_chunk = makespan(forward_tasks(device, fast, network, batch, Layers(1, 1)))
    five = makespan(forward_tasks(device, fast, network, batch, Layers(5, 60)))
    # Of the encoder 6 x 60 steps become 60 (both directions) and 60 + 3 (four layers, the last one three steps later); of
    # the decoder 2 x 60 become 60, as the query layer runs while the encoder does.
    assert one_chunk == pytest.approx(480e6, rel=0.01)
    assert five == pytest.approx((60 + 63 + 60) * 1e6, rel=0.01)


# -- strategies


def test_expected_largest():
    """Maximum of two normal variables: 1 / sqrt(pi); of three: 3 / (2 sqrt(pi))."""
    assert expected_largest(1) == pytest.approx(0, abs=1e-6)
    assert expected_largest(2) == pytest.approx(0.5641896, abs=1e-4)
    assert expected_largest(3) == pytest.approx(0.8462844, abs=1e-4)
    assert waiting_factor(0.2, 2, updates=4) == pytest.approx(1 + 0.1 * 0.5641896, abs=1e-4)


def test_published_trainings():
    """NVIDIA's GNMT v2 in float16 on one A100 and on eight: 141,000 and 822,000 tokens per second."""
    tokens = BATCH.source + BATCH.target
    assert data_parallel(A100_SETTING, 1).sentences_per_second * tokens == pytest.approx(141_000, rel=0.01)
    assert data_parallel(A100_SETTING, 8).sentences_per_second * tokens == pytest.approx(822_000, rel=0.04)


def test_one_device_is_the_same_in_every_strategy_that_needs_no_server():
    expected = data_parallel(A100_SETTING, 1).update_seconds
    for name in ("vocabulary parallelism", "layers", "BMUF"):
        assert STRATEGIES[name](A100_SETTING, 1).update_seconds == pytest.approx(expected)


def test_without_cost_of_messages_the_softmax_may_be_split_or_not():
    free = Link("free", rate=1e30, latency=0.0)
    cluster = Cluster(UNIT, 8, free, free, free, 1e30, spread=0.0)
    setting = Setting(cluster, SMALL, Batch(4, 5, 6))
    saved = adam_seconds(UNIT, output_weights(SMALL)) * 3 / 4
    whole, split = data_parallel(setting, 4), vocabulary_parallel(setting, 4)
    assert whole.update_seconds - split.update_seconds == pytest.approx(saved)
    assert bmuf(setting, 4).update_seconds == pytest.approx(whole.update_seconds)


def test_memory():
    """16 bytes for each parameter; a quarter of the output layer on each of four devices; 8 more bytes with BMUF."""
    whole = data_parallel(A100_SETTING, 4).memory
    assert bmuf(A100_SETTING, 4).memory - whole == 8 * parameters(GNMT_V2)
    output = output_weights(GNMT_V2)
    features = 4 * 128 * 26 * 1024 * 2
    logits = 2 * 1024 * 32_320
    assert whole - vocabulary_parallel(A100_SETTING, 4).memory == pytest.approx(
        0.75 * (16 * output + logits) - 2 * features
    )
    assert whole - asynchronous(A100_SETTING, 4).memory == 8 * parameters(GNMT_V2)


def test_asynchronous_updates_are_bound_by_replicas_or_by_the_server():
    free = Link("free", rate=1e30, latency=0.0)
    cluster = Cluster(UNIT, 8, free, free, free, host_memory_rate=36.0, spread=0.5)
    setting = Setting(cluster, SMALL, Batch(4, 5, 6))
    replica = asynchronous(setting, 1).update_seconds
    assert asynchronous(setting, 2).sentences_per_second == pytest.approx(2 * 4 / replica)
    served = parameters(SMALL)  # 36 bytes of a parameter at 36 bytes a second
    slow = setting._replace(cluster=cluster._replace(host_memory_rate=36.0 / 1000))
    assert asynchronous(slow, 2).sentences_per_second == pytest.approx(4 / (1000 * served))


def test_replicas_of_layers():
    """Eight devices of a machine hold two replicas of a network of four layers."""
    assert layers_on_devices(A100_SETTING, 3) is not None and layers_on_devices(A100_SETTING, 6) is None
    four, eight = layers_on_devices(A100_SETTING, 4), layers_on_devices(A100_SETTING, 8)
    assert eight.memory == four.memory and four.update_seconds < eight.update_seconds
    deep = Setting(DGX_A100, GNMT_PAPER, BATCH)
    assert layers_on_devices(deep, 8).memory < layers_on_devices(deep, 4).memory


def test_one_batch_for_all():
    shared = shared_batch(data_parallel, A100_SETTING, 4)
    quarter = A100_SETTING._replace(batch=BATCH._replace(sentences=32))
    assert shared == data_parallel(quarter, 4)
    assert shared_batch(layers_on_devices, A100_SETTING, 4) == layers_on_devices(A100_SETTING, 4)
    assert shared_batch(data_parallel, A100_SETTING, 256) is None
    assert shared_batch(layers_on_devices, A100_SETTING, 6) is None


def test_the_last_useful_doubling_is_found():
    """Rates 1, 1.6, 2.5, 3.0: the last doubling gives a factor of 1.2."""
    rates = {1: 1.0, 2: 1.6, 4: 2.5, 8: 3.0}
    strategy = lambda setting, count: data_parallel(A100_SETTING, 1)._replace(sentences_per_second=rates[count])  # noqa: E731
    assert stops_paying(strategy, A100_SETTING, (1, 2, 4, 8)) == 4


# -- tables and pictures


def test_tables():
    first, *_, last = tables.rows(A100_SETTING)
    assert first["devices"] == "1" and last["devices"] == "64" and set(first) == {"devices", *STRATEGIES}
    assert first["data parallelism"] == "47.1 ms, 2,720/s"
    assert tables.memory_rows(A100_SETTING, (1,))[0]["data parallelism"] == "3.37"
    published = tables.paper_rows()[-1]
    assert published["s per update of a replica"] == "3.11"  # 6 days x 12 replicas / 2 million


def test_program(monkeypatch, tmp_path, capsys):
    picture = tmp_path / "scaling.png"
    monkeypatch.setattr(sys, "argv", ["scaling_model.py", "--picture", str(picture)])
    scaling_model.main()
    printed = capsys.readouterr().out
    assert "| devices | data parallelism |" in printed and "| published: about 6 days on 96 K80 |" in printed
    assert file_size(picture) == tuple(int(side * DOTS_PER_INCH) for side in SIDE_INCHES)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--batch", "7"], "--batch is 7, but two processes have half of it each"),
        (["--layers", "1"], "--layers is 1, but must be at least 2"),
        (["--picture", "scaling.jpg"], "must end in .png"),
    ],
)
def test_mistakes(monkeypatch, arguments, words):
    monkeypatch.setattr(sys, "argv", ["scaling_model.py", *arguments])
    with pytest.raises(UserError, match=words):
        scaling_model.main()


# -- this machine


def test_link_of_measured_sums():
    """Latency and rate are recovered from exact times."""
    sizes = (1000, 100_000, 10_000_000)
    link = Link("x", rate=2e8, latency=3e-4)
    fitted = fitted_link(sizes, [all_reduce_seconds(link, size, 2) for size in sizes], 2)
    assert (fitted.rate, fitted.latency) == (pytest.approx(2e8), pytest.approx(3e-4))


def test_predictions_are_put_together_from_parts():
    parts = Parts(recurrence=1.0, softmax=0.5, half_softmax=0.6, adam=0.2, copy=0.1)
    batch, weights = Batch(4, 5, 6), parameters(SMALL)
    link = Link("x", rate=4.0, latency=0.0)  # a sum over two processes: a second for each number
    seconds = predictions(Calibration(parts, link, Measured(3, 2, 4, 1, 1)), SMALL, batch)
    assert seconds["data parallelism"] == pytest.approx(1.7 + weights)
    assert seconds["BMUF"] == pytest.approx(1.7 + weights / 50)
    assert seconds["asynchronous"] == pytest.approx(1.9)
    split = output_weights(SMALL)
    features, tokens = 24 * 2, 24
    expected = 1.6 + 0.2 * (1 - split / weights / 2) + features / 2 + features + 4 * tokens + weights - split
    assert seconds["vocabulary parallelism"] == pytest.approx(expected)


def test_table_of_this_machine():
    parts = Parts(0.1, 0.05, 0.06, 0.02, 0.01)
    calibration = Calibration(parts, Link("gloo", 1e9, 1e-4), Measured(0.4, 0.25, 0.42, 0.2, 0.3))
    table = {row["strategy"]: row for row in rows_of(calibration, SMALL, Batch(40, 5, 6))}
    assert table["one process, 1 thread"] == {
        "strategy": "one process, 1 thread", "predicted ms": "-", "measured ms": "400", "sentences/s": "100",
    }  # fmt: skip
    assert table["data parallelism"]["measured ms"] == "200" and table["data parallelism"]["predicted ms"] == "170"
    assert table["BMUF"]["measured ms"] == "-"
    assert "recurrence 100.0 ms" in describe(calibration) and "100 us and 1000 MB/s" in describe(calibration)


@pytest.mark.slow
def test_measuring_this_machine(monkeypatch, tmp_path, capsys):
    """Smallest sizes, two processes."""
    options = (
        "--here --allow-busy --hidden 8 --layers 2 --vocabulary 30 --batch 4 --source 3 --target 3 --repetitions 1"
    )
    monkeypatch.setattr(sys, "argv", ["scaling_model.py", *options.split(), "--json", str(tmp_path / "here.json")])
    scaling_model.main()
    printed = capsys.readouterr().out
    assert "| vocabulary parallelism |" in printed and "gloo:" in printed and (tmp_path / "here.json").exists()
