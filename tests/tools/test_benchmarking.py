"""Tests the benchmarks: statistics worked out by hand, the order of turns, and each script at its smallest size."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "benchmarks"
sys.path.insert(0, str(PROGRAMS))

import benchmark_training  # noqa: E402
import benchmark_translation  # noqa: E402
from benchmarking import alternation, environment  # noqa: E402
from benchmarking.alternation import Turn, alternate  # noqa: E402
from benchmarking.contenders import nvidia, ours_recomputing  # noqa: E402
from benchmarking.contenders.first_batch import LossAndGradient, without_dropout  # noqa: E402
from benchmarking.contenders.ours import trainer  # noqa: E402
from benchmarking.contenders.setting import Setting  # noqa: E402
from benchmarking.figures import Spread, pairwise_ratio, percentiles, spread, totals  # noqa: E402
from benchmarking.operations import NetworkSize, translation_operations, update_operations  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from benchmarking.translation_checks import TranslationChecks, check_steps, same_words  # noqa: E402
from benchmarking.workload import Batch, make_dictionary, real_batches, synthetic_batches  # noqa: E402
from fairseq_gnmt.models.gnmt import GNMTv2  # noqa: E402
from gnmt.errors import UserError  # noqa: E402

TINY = "--hidden 16 --layers 2 --vocabulary 60 --batch 3 --source-length 5 --target-length 4 --threads 1 --allow-busy"
TURNS = "--repetitions 2 --warm-up 1 --contenders ours fairseq-lstm"


# -- statistics


def test_spread():
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(median=2.5, minimum=1.0, maximum=10.0)
    assert f"{spread([1.0, 2.0, 4.0]):.1f}" == "2.0 (1.0 - 4.0)"


def test_the_shortest_time_is_the_highest_rate():
    assert Spread(2.0, 1.0, 4.0).rate(8) == Spread(4.0, 2.0, 8.0)


def test_ratio_is_of_neighbours():
    """The machine is half as fast in the second round: the ratios are 2 / 1 and 4 / 2, not 4 / 1 and 2 / 2."""
    assert pairwise_ratio([2.0, 4.0], [1.0, 2.0]) == Spread(2.0, 2.0, 2.0)


def test_percentiles():
    """For values 0, 1, ..., 100 the p-th percentile is p."""
    assert percentiles(range(101)) == {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}


def test_totals():
    assert totals([[1.0, 2.0], [3.0, 4.0]]) == [3.0, 7.0]


# -- operations, from the number of weights


def test_operations_of_an_update():
    """4 + 4 layers have 45 H^2 weights for each position, attention has 6 S H, the output layer V H."""
    hidden, vocabulary = 16, 60
    batch = Batch([0], sources=[[4, 5]], targets=[[4, 5, 6]])  # 3 and 4 tokens with EOS
    source = 3 * 2 * 45 * hidden**2
    target = 4 * (2 * (45 * hidden**2 + vocabulary * hidden) + 6 * 3 * hidden)
    assert update_operations(NetworkSize(hidden, 4, vocabulary), [batch]) == 3 * (source + target)


def test_operations_of_a_translation():
    """The first step has one hypothesis, each of the other 3 steps has the whole beam."""
    hidden, vocabulary = 16, 60
    batch = Batch([0], sources=[[4, 5]], targets=[[4, 5, 6]])
    step = 2 * (45 * hidden**2 + vocabulary * hidden) + 6 * 3 * hidden
    expected = 3 * 2 * 45 * hidden**2 + (1 + 3 * 5) * step
    assert translation_operations(NetworkSize(hidden, 4, vocabulary), [batch], beam=5) == expected


# -- batches


def test_synthetic_batches():
    first, second = synthetic_batches(20, count=2, sentences=3, source_length=5, target_length=4, seed=1)
    assert [len(source) for source in first.sources] == [4, 4, 4] and first.source_tokens == 15
    assert first.longest_target == 4 and first.target_tokens == 12
    assert {word for batch in (first, second) for source in batch.sources for word in source} <= set(range(4, 20))
    assert first.numbers + second.numbers == list(range(6)) and first.sources != second.sources
    with pytest.raises(UserError, match="--target-length is 1"):
        synthetic_batches(20, count=1, sentences=3, source_length=5, target_length=1, seed=1)


def test_real_batches_are_of_neighbours():
    pairs = [([4] * source, [5] * target) for source, target in [(1, 1), (4, 4), (2, 2), (3, 3), (5, 5)]]
    batches = real_batches(pairs, sentences=2, count=None)
    assert [batch.numbers for batch in batches] == [[2, 0], [1, 3], [4]]  # longest source first
    assert [batch.numbers for batch in real_batches(pairs, sentences=2, count=1)] == [[1, 3]]
    assert [batch.numbers for batch in real_batches(pairs, sentences=2, count=2)] == [[2, 0], [1, 3]]
    with pytest.raises(UserError, match="has 2 batches of 2"):
        real_batches(pairs, sentences=2, count=3)


def test_a_vocabulary_needs_words():
    assert len(make_dictionary(60)) == 60
    with pytest.raises(UserError, match="--vocabulary is 4"):
        make_dictionary(4)


# -- turns


class FakeWorker:
    """Worker with given durations, which records its turns in `log`."""

    def __init__(self, name, log):
        self.name, self.log, self.turns = name, log, 0

    def call(self, question):
        assert question == "turn"
        self.log.append(self.name)
        self.turns += 1
        return Turn([float(self.turns)], processor_seconds=0.0)


def test_contenders_take_turns():
    log = []
    seconds, _ = alternate([FakeWorker("A", log), FakeWorker("B", log)], warm_up=1, repetitions=2)
    assert log == ["A", "B"] * 3
    assert seconds == {"A": [[2.0], [3.0]], "B": [[2.0], [3.0]]}  # the first round is a warm-up and not counted


def test_load_of_other_processes_is_measured(monkeypatch):
    """In each turn the machine is busy for 3 seconds, none of them by the contender; a turn takes 2 seconds."""
    clock = {"busy": 0.0, "time": 0.0}

    def advance(name, by):
        clock[name] += by
        return clock[name] - by

    monkeypatch.setattr(alternation, "busy_seconds", lambda: advance("busy", 3.0))
    monkeypatch.setattr(alternation.time, "perf_counter", lambda: advance("time", 2.0))
    assert alternate([FakeWorker("A", [])], warm_up=0, repetitions=4).others == pytest.approx(1.5)


# -- checks


class FakeTranslator(FakeWorker):
    def __init__(self, name, translations):
        super().__init__(name, [])
        self.translations = translations

    def call(self, question, *arguments):
        return self.translations


def test_different_translations_are_no_benchmark():
    batch = Batch([0, 1], sources=[[4], [5]], targets=[[4, 4], [5, 5]])
    right, wrong = [[4, 5], [5, 6]], [[4, 5], [6, 6]]
    checks = TranslationChecks([batch], beam=5, forced=True, other_networks=())
    outputs = checks([FakeTranslator("ours fp32", right), FakeTranslator("nvidia", right)])
    assert outputs == {"ours fp32": [right], "nvidia": [right]} and "2 of 2 sentences" in checks.sentences[0]
    with pytest.raises(UserError, match="nvidia translates only 1 of the 2"):
        checks([FakeTranslator("ours fp32", right), FakeTranslator("nvidia", wrong)])


def test_the_last_word_may_be_an_end_mark():
    assert same_words([4, 5], [4, 5]) and same_words([4, 5], [4, 5, 6])
    assert not same_words([4, 5], [4, 6]) and not same_words([4, 5], [4, 5, 6, 7])


def test_stopping_early_is_noticed():
    batch = Batch([0], sources=[[4]], targets=[[4, 4, 4]])
    check_steps("ours", batch, [[4, 4, 4]])
    with pytest.raises(UserError, match="take 4 steps"):
        check_steps("ours", batch, [[4]])


# -- output


def test_table():
    rows = [{"contender": "a", "BLEU": "-", "ms": "1"}, {"contender": "b", "BLEU": "-", "p50": "2"}]
    assert markdown_table(rows).splitlines() == [
        "| contender | ms | p50 |",
        "| --- | --- | --- |",
        "| a | 1 | - |",
        "| b | - | 2 |",
    ]


def test_json_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "figures.json"
    check_output(path, overwrite=False)
    write_json(path, {"seconds": [1.5]})
    assert json.loads(path.read_text()) == {"seconds": [1.5]}
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]
    with pytest.raises(UserError, match="--overwrite"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)
    with pytest.raises(UserError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(UserError, match="is not a folder"):
        check_output(tmp_path / "nowhere" / "figures.json", overwrite=False)


# -- the scripts


def run(script, *arguments, code=0):
    command = [sys.executable, str(PROGRAMS / script), *TINY.split(), *TURNS.split(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == code, done.stderr[-4000:]
    return done


def check_common(content, printed, lstm_name="fairseq-lstm"):
    """Checks that all numbers in both files follow from the measured seconds."""
    names = ["ours fp32", lstm_name]
    assert list(content["seconds"]) == names
    assert {"commit", "processor", "flags", "threads", "date", "load_average"} <= set(content["environment"])
    assert content["environment"]["threads"] == 1 and "torch" in content["environment"]["packages"]
    for name in names:
        assert len(content["seconds"][name]) == 2  # repetitions
        assert all(second > 0 for repetition in content["seconds"][name] for second in repetition)
        assert content["peak_memory_mib"][name] > 0
        assert f"| {name} |" in printed
    ours_totals, lstm_totals = (totals(content["seconds"][name]) for name in names)
    ratio = content["time_ratio_pair_by_pair"][lstm_name]["ours fp32"]
    assert ratio == pairwise_ratio(lstm_totals, ours_totals)._asdict()
    product = content["matrix_product"]
    assert product["operations_a_second"] == pytest.approx(2 * 2048**3 / min(product["seconds"]))
    assert "another network" in printed


def test_benchmark_of_training(tmp_path):
    done = run("benchmark_training.py", "--json", tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    check_common(content, done.stdout, "fairseq-lstm fp32")
    median = spread(totals(content["seconds"]["ours fp32"])).median
    row = content["table"][0]
    assert row["ms per update"].startswith(f"{1000 * median:.1f} ")
    assert row["target tokens/s"].startswith(f"{3 * 4 / median:.0f} ")  # 3 sentences of 4 tokens
    assert row["source + target tokens/s"].startswith(f"{3 * 9 / median:.0f} ")
    assert "% of peak" not in content["table"][1] or content["table"][1]["% of peak"] == "-"


def test_benchmark_of_training_in_bf16(tmp_path):
    done = run("benchmark_training.py", "--precision", "fp32", "bf16", "--json", tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    assert list(content["seconds"]) == ["ours fp32", "ours bf16", "fairseq-lstm fp32", "fairseq-lstm bf16"]
    assert "ours bf16: the same loss and gradient as ours on the first batch" in done.stdout
    peaks, row = content["peak_memory_mib"], content["table"][1]
    assert row["memory / ours fp32"] == f"{peaks['ours bf16'] / peaks['ours fp32']:.2f}"


def test_benchmark_of_translation(tmp_path):
    done = run("benchmark_translation.py", "--batch", 1, "--batches", 2, "--json", tmp_path / "d.json")
    content = json.loads((tmp_path / "d.json").read_text())
    check_common(content, done.stdout)
    assert content["steps"] == 2 * 4 and content["target_tokens"]["ours fp32"] == 2 * 4
    seconds = content["seconds"]["ours fp32"]
    row = content["table"][0]
    assert row["ms per step"].startswith(f"{1000 * spread(totals(seconds)).median / 8:.1f} ")
    assert content["latency_ms"]["ours fp32"] == percentiles([1000 * s for repetition in seconds for s in repetition])
    assert row["p50 ms"] == f"{content['latency_ms']['ours fp32']['p50']:.1f}"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--contenders", "nvidia"], "needs --nvidia DIR"),
        (["--contenders", "ours", "ours"], "each name once"),
        (["--repetitions", "0"], "--repetitions is 0"),
        (["--layers", "1"], "--layers is 1"),
        (["--beam", "0"], "--beam is 0"),
        (["--path", "nowhere.pt"], "nowhere.pt does not exist"),
        (["--path", __file__], "--path needs --data"),
        (["--path", __file__, "--data", ".", "--contenders", "fairseq-lstm"], "needs --fairseq-lstm-path"),
        (["--path", __file__, "--data", ".", "--contenders", "ours", "ctranslate2"], "random weights only"),
        (["--references", __file__], "require --path"),
        (["--json", "/nowhere/figures.json"], "is not a folder"),
        (["--device", "cuda"], "torch sees no GPU"),
        (["--precision", "fp16"], "add --device cuda"),
        (["--device", "cuda", "--precision", "fp32", "int8"], "int8 can only be measured on a CPU"),
        (
            ["--contenders", "ours", "ctranslate2", "--precision", "bf16"],
            "ctranslate2 has no bf16: add one of fp32, int8",
        ),
        (["--device", "cuda", "--contenders", "ours", "opennmt"], "opennmt can only be measured on a CPU"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(arguments, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmark_translation.py", *arguments])
    with pytest.raises(UserError, match=message):
        benchmark_translation.parse_options()


def test_references_must_belong_to_the_split(tmp_path):
    path = tmp_path / "test.de"
    path.write_text("eins\nzwei\n")
    assert benchmark_translation.read_references(path, "test", 2) == ["eins", "zwei"]
    with pytest.raises(UserError, match="has 2 lines, but the split test 3 sentences"):
        benchmark_translation.read_references(path, "test", 3)


def test_losses_and_gradients_must_be_equal():
    class FakeTrainer(FakeWorker):
        def call(self, question):
            return LossAndGradient(*self.log)

    ours, equal = FakeTrainer("ours fp32", (100.0, 9.0)), FakeTrainer("nvidia fp32", (100.0005, 9.0005))
    assert "the same loss and gradient" in benchmark_training.compare_first_batches([ours, equal])[0]
    for other in ((100.01, 9.0), (100.0, 9.01), (float("nan"), 9.0), (100.0, float("nan"))):
        with pytest.raises(UserError, match="would compare nothing"):
            benchmark_training.compare_first_batches([ours, FakeTrainer("nvidia fp32", other)])
    rounded = FakeTrainer("nvidia bf16", (100.01, 9.01))
    assert "the same loss and gradient" in benchmark_training.compare_first_batches([ours, rounded])[0]
    with pytest.raises(UserError, match="would compare nothing"):
        benchmark_training.compare_first_batches([ours, FakeTrainer("ours bf16", (101.0, 9.0))])


def test_gradient_of_the_first_batch():
    """With and without activation checkpointing, gradients are equal, and none is left behind."""
    batches = synthetic_batches(60, count=1, sentences=4, source_length=7, target_length=6, seed=1)
    setting = Setting(NetworkSize(16, 4, 60), make_dictionary(60), batches, dropout=0.2, threads=1)
    ours, recomputing = trainer(setting), ours_recomputing.trainer(setting)
    first_batches = [contender.first_batch() for contender in (ours, recomputing)]
    assert first_batches[0] == pytest.approx(first_batches[1], rel=1e-6) and first_batches[0].gradient_norm > 0
    assert ours.model.training and all(parameter.grad is None for parameter in ours.model.parameters())
    loss = ours.criterion(ours.model.eval(), ours.samples[0])[0]
    loss.backward()
    gradients = [p.grad.double().flatten() for name, p in ours.model.named_parameters() if "embed_tokens" not in name]
    assert first_batches[0] == pytest.approx((loss.item(), torch.cat(gradients).norm().item()), rel=1e-6)


def test_recurrent_layers_stay_in_training_mode_without_dropout():
    """cuDNN computes no gradients in evaluation mode."""
    model = torch.nn.ModuleList([torch.nn.LSTM(4, 4, num_layers=2, dropout=0.5), torch.nn.Dropout(0.5)]).train()
    inputs = torch.ones(3, 2, 4)
    with without_dropout(model):
        assert model[0].training and not model[1].training
        assert torch.equal(model[1](model[0](inputs)[0]), model[1](model[0](inputs)[0]))
    assert model[0].dropout == 0.5 and model[1].training


def test_the_gpu_has_done_its_work_before_and_after_each_run(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("wait"))
    running = SimpleNamespace(batches=2, run=calls.append)
    assert len(alternation.STANDARD["turn"](running).seconds) == 2
    assert calls == ["wait", 0, "wait", "wait", 1, "wait"]


def test_every_weight_shows_in_the_compared_loss():
    """Changing half of any tensor by 2% is detected, so equal losses mean equal networks."""
    batches = synthetic_batches(60, count=1, sentences=4, source_length=7, target_length=6, seed=1)
    setting = Setting(NetworkSize(16, 4, 60), make_dictionary(60), batches, dropout=0.2, threads=1)
    contender = trainer(setting)
    loss = contender.first_batch().loss
    for name, parameter in contender.model.named_parameters():
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[: (parameter.numel() + 1) // 2] *= 1.02
        assert abs(contender.first_batch().loss / loss - 1) > benchmark_training.TOLERANCE["fp32"].loss, name
        with torch.no_grad():
            parameter.copy_(before)


def test_a_busy_machine_is_refused(monkeypatch):
    """Other processes use 1.5 seconds of CPU time during the check, then none."""
    times = iter([10.0, 11.5, 20.0, 21.5, 30.0, 30.0])
    monkeypatch.setattr(environment, "busy_seconds", lambda: next(times))
    monkeypatch.setattr(environment.time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match="Other programs use 1.5 of"):
        environment.require_free_machine(allow_busy=False)
    assert "NOT RELIABLE" in environment.require_free_machine(allow_busy=True)
    assert environment.require_free_machine(allow_busy=False) is None
    assert environment.disturbance(0.1) is None and "DO NOT TRUST" in environment.disturbance(0.5)


def test_mistakes_of_contenders_are_reported():
    """If one worker cannot be built, the benchmark ends with its message and stops the others."""
    done = run("benchmark_training.py", "--contenders", "ours", "nvidia", "--nvidia", "nowhere", code=1)
    assert "error: nvidia fp32: nowhere has no seq2seq" in done.stderr and "Traceback" not in done.stderr


# -- names of NVIDIA's weights


def test_special_tokens_are_mapped_for_nvidia():
    """Token ids are equal; NVIDIA's BOS becomes EOS at the input, and its EOS becomes EOS at the output."""
    dictionary = make_dictionary(7)
    config = GNMTv2.config_class(hidden_size=4, encoder_layers=2, decoder_layers=2)
    ours = GNMTv2.build_model(config, SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary))
    names = ["encoder.embedder.weight", "decoder.classifier.classifier.bias"]
    embedding, bias = nvidia.their_weights(ours, names, dictionary).values()
    nvidia_ids = [dictionary.pad(), dictionary.unk(), dictionary.eos(), dictionary.eos(), 4, 5, 6]
    assert embedding.equal(ours.encoder.embed_tokens.weight[nvidia_ids])
    nvidia_ids[nvidia.BEGIN] = dictionary.bos()
    assert bias.equal(ours.decoder.output_projection.bias[nvidia_ids])
    columns, lengths = nvidia.padded([[4, dictionary.unk()], [5]], [nvidia.BEGIN], dictionary)
    assert columns.t().tolist() == [[2, 4, 1, 3], [2, 5, 3, 0]] and lengths.tolist() == [4, 3]


def test_checkouts_without_the_code_are_refused(tmp_path):
    with pytest.raises(UserError, match="must name PyTorch/Translation/GNMT"):
        nvidia.find_code(tmp_path)


# -- trained networks


@pytest.mark.slow
def test_bleu_equals_fairseq_generate(tmp_path):
    sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))
    from commands import succeed
    from tiny_corpora import TASK, TEST, TO_TEXT, sentences, trained_on_sentences

    search = ["--max-len-a", 2, "--max-len-b", 10, "--beam", 3]
    printed = succeed("generate", sentences(), *TASK, "--path", trained_on_sentences(), *search, *TO_TEXT)
    expected = float(re.search(r"BLEU = ([\d.]+) .*case:mixed", printed)[1])
    real = ["--data", sentences(), "--path", trained_on_sentences(), "--post-process", "sentencepiece"]
    done = run("benchmark_translation.py", *real, *search, "--contenders", "ours", "fairseq-search",
               "--json", tmp_path / "d.json")  # fmt: skip
    content = json.loads((tmp_path / "d.json").read_text())
    assert content["bleu"]["ours fp32"]["score"] == pytest.approx(expected, abs=0.005)
    assert "tok:13a" in content["bleu"]["ours fp32"]["signature"] and "tok:13a" in done.stdout
    assert content["steps"] is None and content["target_tokens"]["ours fp32"] > TEST
