"""Tests planning, translating and merging of shards in `gnmt bulk`. Expected translations come from `Translator`."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from bulk_commands import DIFFERING_SEED, SENTENCES, expected_texts, gnmt_bulk, planned, translated
from model_folders import make_model_folder

from gnmt.bulk import shard as shards
from gnmt.bulk.manifest import BulkFolder, read_content, read_manifest
from gnmt.bulk.shard_size import default_lines_per_shard
from gnmt.errors import UserError
from gnmt.files.locks import locked
from gnmt.files.packing import packed
from gnmt.files.unpacking import SUFFIXES, open_unpacked
from gnmt.translator import Translator


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("bulk") / "model", DIFFERING_SEED)


@pytest.fixture
def source(tmp_path) -> Path:
    (tmp_path / "in.en").write_text("".join(f"{line}\n" for line in SENTENCES))
    return tmp_path / "in.en"


def merged(folder: Path) -> bytes:
    gnmt_bulk("merge", folder, "--to", folder.with_suffix(".merged"), "--overwrite")
    return folder.with_suffix(".merged").read_bytes()


def lines(texts) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode("utf-8")


def state(folder: Path, capsys) -> dict:
    capsys.readouterr()
    gnmt_bulk("status", folder, "--json")
    return json.loads(capsys.readouterr().out)


# -- output


@pytest.mark.parametrize("per_shard", [1, 2, 5, 100])
def test_the_output_equals_the_translator_for_any_shard_size(model, source, tmp_path, per_shard):
    out = translated(model, source, tmp_path / "out", "--lines-per-shard", per_shard)
    assert len(list((out / "output").iterdir())) == -(-len(SENTENCES) // per_shard)
    assert merged(out) == lines(expected_texts(model, list(SENTENCES)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_packed_inputs_and_outputs(model, source, tmp_path, suffix):
    path = tmp_path / f"packed.en{suffix}"
    with open(path, "wb") as file, packed(file, path) as packing:
        packing.write(source.read_bytes())
    out = translated(model, path, tmp_path / "out", "--lines-per-shard", 2)
    gnmt_bulk("merge", out, "--to", tmp_path / f"out.de{suffix}")
    with open_unpacked(tmp_path / f"out.de{suffix}") as file:
        assert file.read() == lines(expected_texts(model, list(SENTENCES)))
    with pytest.raises(UserError, match="exists: choose another output"):
        gnmt_bulk("merge", out, "--to", tmp_path / f"out.de{suffix}")
    gnmt_bulk("merge", out, "--to", tmp_path / f"out.de{suffix}", "--overwrite")


def test_an_empty_input_has_an_empty_output(model, source, tmp_path):
    source.write_bytes(b"")
    out = translated(model, source, tmp_path / "out")
    assert read_manifest(BulkFolder(out)).shards == () and merged(out) == b""


def test_lines_that_are_empty_long_or_not_utf_8(model, source, tmp_path, monkeypatch, capsys):
    """The last line has no newline. Problems are reported with line numbers that start at 1."""
    monkeypatch.setattr(shards, "MAX_TEXT_LENGTH", 5000)
    source.write_bytes(b"\n \t\nthe \xff dog\n" + b"dog " * 1100 + b"\n" + b"x" * 6000 + b"\r\ndog")
    out = translated(model, source, tmp_path / "out", "--lines-per-shard", 4)
    texts = ["", "", "the \ufffd dog", "dog " * 1100, "x" * 5000, "dog"]
    assert merged(out) == lines(expected_texts(model, texts))
    problems = b"".join(path.read_bytes() for path in sorted((out / "problems").iterdir()))
    assert [json.loads(line) for line in problems.splitlines()] == [
        {"line": 3, "problem": "it is not UTF-8: it has the byte 0xff, which is read as U+FFFD"},
        {"line": 4, "problem": "it is too long, and its rest is not translated"},
        {"line": 5, "problem": "it is too long, and its rest is not translated"},
    ]
    assert state(out, capsys)["problems"] == 3


def test_duplicates_are_translated_once(model, source, tmp_path, monkeypatch, capsys):
    texts = ["dog", "cat", " dog", "", "dog", "cat\r", ""]
    source.write_bytes(lines(texts))
    calls = []
    stream = Translator.stream
    monkeypatch.setattr(
        Translator, "stream", lambda self, texts, options: calls.append(texts) or stream(self, texts, options)
    )
    out = translated(model, source, tmp_path / "out")
    assert calls == [["cat", "dog", ""]]
    assert state(out, capsys)["duplicates"] == 4
    assert merged(out) == lines(expected_texts(model, [text.strip() for text in texts]))


def test_progress_counts_every_line_once(model, source, tmp_path):
    source.write_bytes(b"dog\ncat\ndog\ndog\n")
    folder = BulkFolder(planned(model, source, tmp_path / "out"))
    counted = []
    shards.ShardTranslator(folder, read_manifest(folder), "cpu", None).translate(0, counted.append)
    assert counted == [1, 3]  # cat, dog


# -- number of lines of a shard


def test_a_small_input_has_four_shards_for_each_process(model, tmp_path):
    """A shard has at least four batches, so that sentences of similar length can be batched, and at most 20,000 lines."""
    assert default_lines_per_shard(10_000, workers=2, batch_size=64) == 1250
    assert default_lines_per_shard(10_001, workers=2, batch_size=64) == 1251
    assert default_lines_per_shard(10_000, workers=2, batch_size=512) == 2048
    assert default_lines_per_shard(100, workers=2, batch_size=64) == 256
    assert default_lines_per_shard(0, workers=1, batch_size=64) == 256
    assert default_lines_per_shard(10**7, workers=8, batch_size=64) == 20_000
    assert default_lines_per_shard(10, workers=1, batch_size=8000) == 20_000
    assert default_lines_per_shard(None, workers=2, batch_size=64) == 20_000


@pytest.mark.parametrize("ending", ["en", "en.gz", "parquet"])
def test_the_number_of_lines_is_counted_and_kept_by_later_runs(model, tmp_path, ending):
    path, out = tmp_path / f"in.{ending}", tmp_path / "out"
    if ending == "parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra [bulk]")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"text": ["dog"] * 41}), path)
    else:
        with open(path, "wb") as file, packed(file, path) as packing:
            packing.write(b"dog\n" * 41)
    planned(model, path, out, "--workers", 2, "--batch-size", 1)
    manifest = read_manifest(BulkFolder(out))
    assert [shard.lines for shard in manifest.shards] == [6, 6, 6, 6, 6, 6, 5]  # 41 / (4 * 2), rounded up
    assert manifest.job.lines_per_shard == 6
    planned(model, path, out, "--workers", 5, "--batch-size", 1)
    planned(model, path, out, "--workers", 5, "--batch-size", 1, "--lines-per-shard", 6)
    assert read_manifest(BulkFolder(out)) == manifest
    with pytest.raises(UserError, match="started with --lines-per-shard 6, but this command has --lines-per-shard 7"):
        planned(model, path, out, "--batch-size", 1, "--lines-per-shard", 7)


# -- options


def test_samples_depend_on_the_seed_and_the_line_only(model, source, tmp_path):
    """Line n uses seed + n: equal lines get different samples, and the size of shards has no effect."""
    source.write_bytes(b"the dog runs\n" * 6)
    draw = ("--sampling", "--temperature", "0.7", "--top-k", "5", "--seed", "7")
    whole = merged(translated(model, source, tmp_path / "whole", *draw))
    assert len(set(whole.splitlines())) > 3
    assert merged(translated(model, source, tmp_path / "cut", *draw, "--lines-per-shard", 3)) == whole
    assert merged(translated(model, source, tmp_path / "other", *draw[:-1], "8")) != whole
    assert (
        merged(translated(model, source, tmp_path / "next", *draw[:-1], "8")).splitlines()[:5] == whole.splitlines()[1:]
    )


def test_a_tag_precedes_translations_except_blank_lines(model, source, tmp_path):
    source.write_bytes(b"dog\n\ncat\n")
    (dog, cat) = expected_texts(model, ["dog", "cat"])
    assert merged(translated(model, source, tmp_path / "out", "--tag", "<BT>")) == lines(
        [f"<BT> {dog}", "", f"<BT> {cat}"]
    )


def test_tsv_and_json_lines_with_scores_and_n_best_lists(model, tmp_path):
    (tmp_path / "in.tsv").write_text("1\tdog\n2\n")
    translation = Translator.from_pretrained(model).translate(["dog"], beam=3, nbest=2)[0]
    out = translated(model, tmp_path / "in.tsv", tmp_path / "tsv", "--column", 2, "--score", "--beam", 3)
    assert merged(out).decode() == f"1\tdog\t{translation.text}\t{translation.score:.6f}\n2\t\t\n"
    (tmp_path / "in.jsonl").write_text('{"s": "dog"}\n')
    out = translated(model, tmp_path / "in.jsonl", tmp_path / "json", "--column", "s", "--beam", 3, "--nbest", 2)
    assert json.loads(merged(out)) == {
        "s": "dog",
        "translation": translation.text,
        "nbest": [{"text": hypothesis.text, "score": round(hypothesis.score, 6)} for hypothesis in translation.nbest],
    }


@pytest.mark.parametrize(
    "name, content, column, problem",
    [
        ("in.tsv", "1\tdog\n2\tcat\n", "9", "there is no column 9"),
        ("in.jsonl", '{"s": "dog"}\n{"s": "cat"}\n', "text", "it has no text under 'text'"),
        ("in.jsonl", "dog\ncat\n", "text", "it is not JSON"),
    ],
)
def test_a_column_that_no_line_has_is_refused(model, tmp_path, name, content, column, problem):
    (tmp_path / name).write_text(content)
    sentence = rf"The input has no text to translate up to line 2 .line 1: {problem}\): check --column {column}"
    with pytest.raises(UserError, match=sentence):
        planned(model, tmp_path / name, tmp_path / "out", "--column", column)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_first_shard_of_one_line_may_have_a_problem(model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"s": "dog"}\n{"text": "cat"}\n')
    out = planned(model, tmp_path / "in.jsonl", tmp_path / "out", "--lines-per-shard", 1)
    assert len(read_manifest(BulkFolder(out)).shards) == 2


def test_the_warning_of_problems_names_their_kinds(model, source, tmp_path, capsys):
    source.write_bytes(b"dog\nc\xfft\n")
    translated(model, source, tmp_path / "out")
    gnmt_bulk(model, "--input", source, "--output", tmp_path / "out")
    warning = "warning: 1 line has a problem (no text, invalid bytes, or a truncated translation): see "
    assert capsys.readouterr().err.splitlines()[-1] == f"{warning}{tmp_path / 'out' / 'problems'}."


def test_parquet(model, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra [bulk]")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": range(5), "text": SENTENCES}), tmp_path / "in.parquet")
    out = translated(model, tmp_path / "in.parquet", tmp_path / "out", "--lines-per-shard", 2)
    gnmt_bulk("merge", out, "--to", tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").to_pydict() == {
        "id": [0, 1, 2, 3, 4],
        "text": list(SENTENCES),
        "translation": expected_texts(model, list(SENTENCES)),
    }


def test_a_training_folder_is_not_accepted_as_a_model(model, source, tmp_path):
    inner = shutil.copytree(model, tmp_path / "training" / "model")
    with pytest.raises(UserError, match=f"training is not a model folder .*: did you mean {inner}?"):
        planned(tmp_path / "training", source, tmp_path / "out")


def test_misspelt_actions_and_options_get_a_suggestion(model, source, tmp_path, capsys):
    for arguments, usage, suggestion in (
        (["statsu", tmp_path], "gnmt bulk ", "there is no action 'statsu': did you mean `gnmt bulk status`?"),
        (["status", tmp_path, "--jsn"], "gnmt bulk status ", "unrecognized arguments: --jsn; did you mean --json?"),
        ([model, "--input", source, "--output", tmp_path, "--workes=2"], "gnmt bulk translate ",
         "unrecognized arguments: --workes=2; did you mean --workers?"),
        (["verify", tmp_path, "--quickly"], "gnmt bulk verify ", "unrecognized arguments: --quickly"),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            gnmt_bulk(*arguments)
        printed = capsys.readouterr().err
        assert printed.startswith(f"usage: {usage}") and printed.endswith(f"error: {suggestion}\n")


def test_a_model_may_have_the_name_of_an_action(model, source, tmp_path, monkeypatch):
    shutil.copytree(model, tmp_path / "merged")
    monkeypatch.chdir(tmp_path)
    planned(Path("merged"), source, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").exists()


def test_options_without_effect_are_refused(model, source, tmp_path):
    for options, sentence in (
        (["--seed", "3"], "--seed is for sampling: add --sampling"),
        (["--score"], "--score cannot be written as text"),
        (["--nbest", "2", "--output-format", "tsv"], "--nbest 2 cannot be written as tsv"),
        (["--column", "2"], "--column is for TSV"),
        (["--format", "tsv", "--column", "9" * 5000], "--column is '9+', but must be the number of a column"),
        (["--tag", "\udcff"], "--tag is .* which is not UTF-8"),
        (["--format", "tsv", "--column", "0"], "--column is '0', but must be the number of a column"),
        (["--output-format", "parquet"], "Parquet is written for Parquet only"),
        (["--lines-per-shard", "0"], "--lines-per-shard is 0, but must be at least 1"),
        (["--tag", "a\tb"], "--tag has a tab"),
        (["--workers", "0"], "--workers is 0, but must be at least 1"),
        (["--address", "auto"], "--address is for Ray"),
        (["--sampling", "--top-p", "2"], "top_p is 2.0, but must be at most 1"),
        (["--beam", "0"], "--beam is 0, but must be at least 1"),
        (["--nbest", "6", "--output-format", "jsonl"], "nbest is 6, but must be at most beam, which is 5"),
        (["--precision", "in8"], "--precision is 'in8', but must be one of fp32, "),
    ):
        with pytest.raises(UserError, match=sentence):
            planned(model, source, tmp_path / "out", *options)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("devices", [["cpu", "meta:x"], ["cuda:99"], ["gpu"]])
def test_a_missing_device_is_refused_before_the_folder_is_created(model, source, tmp_path, devices):
    sentence = f"The device '{devices[-1]}' is not available .*: use cpu"
    with pytest.raises(UserError, match=sentence):
        gnmt_bulk(model, "--input", source, "--output", tmp_path / "out", "--device", *devices)
    assert not (tmp_path / "out").exists()
    planned(model, source, tmp_path / "out", "--device", *devices)  # the printed commands run on other machines


# -- one run for each folder


def test_another_model_option_or_input_is_refused(model, source, tmp_path):
    out = planned(model, source, tmp_path / "out", "--beam", 4)
    other = make_model_folder(tmp_path / "other", seed=2)
    with pytest.raises(UserError, match=f"{out} was started with another model, {model.resolve()}: give it"):
        planned(other, source, out, "--beam", 4)
    for options, sentence in (
        ([], "started with --beam 4, but this command has no --beam"),
        (["--beam", 4, "--tag", "x"], "started with no --tag, but this command has --tag x"),
        (["--beam", 4, "--sampling"], "started with no --sampling, but this command has --sampling:"),
        (["--beam", 4, "--replace-unk"], "started with no --replace-unk, but this command has --replace-unk"),
    ):
        with pytest.raises(UserError, match=sentence):
            planned(model, source, out, *options)
    moved = shutil.copytree(model, tmp_path / "moved")
    planned(moved, source, out, "--beam", 4)  # the same model in another folder
    source.write_bytes(source.read_bytes() + b"dog\n")
    with pytest.raises(UserError, match=f"{source} has changed since {out} was started: restore it"):
        planned(model, source, out, "--beam", 4)
    other = tmp_path / "other.txt"
    other.write_bytes(b"dog\n")
    with pytest.raises(UserError, match=f"started with another input, {source}"):
        planned(model, other, out, "--beam", 4)


def test_a_model_that_changed_is_refused_by_shards(source, tmp_path):
    model = make_model_folder(tmp_path / "model", seed=1)
    out = planned(model, source, tmp_path / "out")
    shutil.rmtree(model)
    make_model_folder(model, seed=2)
    with pytest.raises(UserError, match="has changed since the translation started"):
        gnmt_bulk("shard", out, 0)


@pytest.mark.parametrize("name", ["thesis.tex", "input/thesis.tex", "output/000000.zst"])
def test_a_folder_with_other_files_is_refused(model, source, tmp_path, name):
    (tmp_path / "out" / name).parent.mkdir(parents=True)
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UserError, match="has other files, such as .*: choose an empty or a new folder"):
        planned(model, source, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_a_folder_without_a_manifest_is_planned_again(model, source, tmp_path):
    """A run killed while it was cutting leaves shards of another input and no manifest."""
    out = planned(model, source, tmp_path / "out", "--lines-per-shard", 1)
    (out / "manifest.json").rename(out / ".manifest.json.1.partial")
    (out / "input" / "000004.zst").rename(out / "input" / ".000004.zst.1.partial")
    source.write_bytes(b"dog\n")
    assert merged(translated(model, source, out)) == lines(expected_texts(model, ["dog"]))
    assert [path.name for path in (out / "input").iterdir()] == ["000000.zst"]


def test_a_second_run_is_refused_while_one_is_running(model, source, tmp_path):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"):
        with pytest.raises(UserError, match=f"is in use by process [0-9]+ on {socket.gethostname()}"):
            planned(model, source, tmp_path / "out")


def test_shards_that_are_done_are_skipped(model, source, tmp_path, capsys, monkeypatch):
    out = planned(model, source, tmp_path / "out", "--lines-per-shard", 2)
    gnmt_bulk("shard", out, 1)
    capsys.readouterr()
    planned(model, source, out, "--lines-per-shard", 2)
    commands = capsys.readouterr().out.splitlines()
    assert [command.split()[:5] for command in commands] == [["gnmt", "bulk", "shard", str(out), n] for n in ("0", "2")]
    monkeypatch.setattr(Translator, "stream", None)  # translating it would fail
    before = (out / "output" / "000001.zst").stat().st_mtime_ns
    gnmt_bulk("shard", out, 1)
    assert (out / "output" / "000001.zst").stat().st_mtime_ns == before
    assert state(out, capsys)["shards_done"] == 1


def test_a_shard_without_its_record_is_translated_again_to_the_same_bytes(model, source, tmp_path):
    out = translated(model, source, tmp_path / "out")
    before = (out / "output" / "000000.zst").read_bytes()
    (out / "done" / "000000.json").write_text("{")  # simulates a power failure
    (out / "output" / "000000.zst").write_bytes(b"")
    translated(model, source, out)
    assert (out / "output" / "000000.zst").read_bytes() == before


# -- defects


def test_merging_needs_all_shards(model, source, tmp_path):
    out = planned(model, source, tmp_path / "out", "--lines-per-shard", 1)
    gnmt_bulk("shard", out, 2)
    with pytest.raises(
        UserError, match=r"4 of 5 shards are not done \(numbers 0, 1, 3, 4\): repeat the command that started"
    ):
        gnmt_bulk("merge", out, "--to", tmp_path / "out.de")
    assert not (tmp_path / "out.de").exists()
    with pytest.raises(UserError, match="There is no shard 5: there are 5 shards, counted from 0"):
        gnmt_bulk("shard", out, 5)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def join_two_lines(path: Path) -> None:
    content = read_content(path)
    with open(path, "wb") as file, packed(file, path) as packing:
        packing.write(content.replace(b"\n", b" ", 1))


@pytest.mark.parametrize("damage", [append, join_two_lines])
def test_damaged_outputs_are_found_and_translated_again(model, source, tmp_path, capsys, damage):
    out = translated(model, source, tmp_path / "out", "--lines-per-shard", 2)
    whole = merged(out)
    gnmt_bulk("verify", out)
    assert "3 of 3 shards are done, and all their files are undamaged" in capsys.readouterr().out
    path = out / "output" / "000001.zst"
    damage(path)
    for command in (["merge", out], ["verify", out]):
        with pytest.raises(UserError, match="bulk verify --repair|1 file of .* cannot be used, as listed above"):
            gnmt_bulk(*command)
    assert f"{path} differs from its checksum: `gnmt bulk verify --repair`" in capsys.readouterr().out
    gnmt_bulk("verify", out, "--repair")
    repaired = [f"{path} is damaged or missing.", "1 shard will be translated again: run gnmt bulk again"]
    assert capsys.readouterr().out.splitlines() == repaired
    assert state(out, capsys)["shards_done"] == 2
    gnmt_bulk("verify", out)
    assert capsys.readouterr().out == "2 of 3 shards are done, and all their files are undamaged\n"
    assert merged(translated(model, source, out, "--lines-per-shard", 2)) == whole


def test_damaged_inputs_are_found(model, source, tmp_path, capsys):
    out = planned(model, source, tmp_path / "out")
    (out / "input" / "000000.zst").write_bytes(b"dog\n")
    with pytest.raises(UserError, match="000000.zst is damaged: restore it"):
        gnmt_bulk("shard", out, 0)
    (out / "input" / "000000.zst").unlink()
    with pytest.raises(UserError, match="cannot be opened"):
        gnmt_bulk("shard", out, 0)
    for options in ([], ["--repair"]):  # a damaged input cannot be repaired
        with pytest.raises(UserError, match="1 file of"):
            gnmt_bulk("verify", out, *options)


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"version": 2}', '{"version": 2, "job": {"x": 1}}'])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="manifest.json (is damaged|has the version 1, not 2)"):
        gnmt_bulk("status", tmp_path)
    with pytest.raises(UserError, match="has no manifest.json: name the output folder"):
        gnmt_bulk("status", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        # otherwise the other shards would be merged without the lines of this shard
        lambda content: content["shards"].pop(),
        lambda content: content["shards"][0].update(lines="2"),
        lambda content: content["shards"][0].update(number="../x"),
        lambda content: content["job"].update(models=[3]),
        lambda content: content["job"]["options"].update(beam=3),
        lambda content: content.pop("checksum"),
    ],
)
def test_a_changed_manifest_is_refused(model, source, tmp_path, change):
    out = planned(model, source, tmp_path / "out")
    manifest = out / "manifest.json"
    content = json.loads(manifest.read_text())
    change(content)
    manifest.write_text(json.dumps(content))
    for action in ("status", "verify", "merge"):
        with pytest.raises(UserError, match="manifest.json is damaged (.*checksum.*): restore it, or start with a new"):
            gnmt_bulk(action, out)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 100_000, {"lines": 4}, {"translated": "5"}, {"problems": None}, {"seconds": float("nan")}],
)
def test_a_shard_with_a_damaged_record_is_translated_again(model, source, tmp_path, content):
    out = translated(model, source, tmp_path / "out")
    whole = merged(out)
    record = out / "done" / "000000.json"
    if isinstance(content, dict):
        content = json.dumps({**json.loads(record.read_text()), **content})
    record.write_text(content)
    gnmt_bulk("status", out, "--json")
    with pytest.raises(UserError, match="1 of 1 shards are not done"):
        gnmt_bulk("merge", out)
    gnmt_bulk("shard", out, 0)
    assert merged(out) == whole


def test_links_in_the_folder_are_replaced_and_their_targets_kept(model, source, tmp_path):
    out = planned(model, source, tmp_path / "out")
    (tmp_path / "precious").write_text("precious")
    for path in ("output/000000.zst", "done/000000.json"):
        (out / path).parent.mkdir()
        (out / path).symlink_to(tmp_path / "precious")
    gnmt_bulk("shard", out, 0)
    assert (tmp_path / "precious").read_text() == "precious"
    assert merged(out).count(b"\n") == len(SENTENCES)


def test_an_output_that_cannot_be_a_folder_is_refused(model, tmp_path):
    source = tmp_path / "source.en"
    source.write_text("the dog\n")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for output in (source, source / "below", tmp_path / "loop"):
        with pytest.raises(UserError, match="cannot be a folder .*: give another --output"):
            gnmt_bulk(model, "--input", source, "--output", output)
    assert source.read_text() == "the dog\n"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_record_that_is_not_a_file_is_refused(model, source, tmp_path, make):
    out = translated(model, source, tmp_path / "out")
    record = BulkFolder(out).done(0)
    record.unlink()
    make(record)
    for action in ("status", "verify", "merge"):
        with pytest.raises(UserError, match="0000.json is not a regular file: remove it"):
            gnmt_bulk(action, out)
