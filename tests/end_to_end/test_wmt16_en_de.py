"""Tests the data stages of examples/wmt16_en_de on small copies of the real archives.

Expected files are written by hand.
"""

import hashlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from corpus_mirror import Mirror, gz, sentence_pairs, serve, tar_gz

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "wmt16_en_de"
EUROPARL = "/europarl/v7/de-en.tgz"
COMMON_CRAWL = "/wmt13/training-parallel-commoncrawl.tgz"
NEWS_COMMENTARY = "/wmt16/translation-task/training-parallel-nc-v11.tgz"
DEV = "/wmt16/translation-task/dev.tgz"
TEST = "/wmt16/translation-task/test.tgz"

# Pairs of Common Crawl that cleaning must drop, and why; the last pair contains characters that resemble line ends.
ODD_PAIRS = [
    ("Здравствуйте , my friend .", "Guten Tag , mein Freund ."),  # not latin-1
    ("word " * 81, "Wort " * 80),  # 81 tokens
    ("", "Leer ."),
    ("a b c\u2028d .", "a b\rc d ."),
]


def joined(sentences) -> bytes:
    return "".join(f"{sentence}\n" for sentence in sentences).encode("utf-8")


def parallel(prefix: str, pairs) -> dict:
    english, german = zip(*pairs)
    return {f"{prefix}.en": joined(english), f"{prefix}.de": joined(german)}


def sgm(kind: str, documents) -> bytes:
    """Returns an SGM file in the format of WMT; documents are lists of raw segments."""
    lines = [f'<{kind} setid="newstest" srclang="any" trglang="de">']
    for number, segments in enumerate(documents, start=1):
        lines += [f'<doc sysid="ref" docid="paper.{number}" genre="news" origlang="en">', "<p>"]
        lines += [f'<seg id="{place}">{text}</seg>' for place, text in enumerate(segments, start=1)]
        lines += ["</p>", "</doc>"]
    return "\n".join([*lines, f"</{kind}>", ""]).encode("utf-8")


NEWSTEST2014 = [["S&amp;P says &quot;no&quot; .", "  spaced \t out\nand broken  "], ["", "the last one ."]]
NEWSTEST2014_DE = [["S&amp;P sagt &quot;nein&quot; .", "verteilt"], ["", "der letzte &lt;hier&gt; ."]]


def newstest(year: int, count: int):
    pairs = sentence_pairs(count, seed=year)
    return [[english for english, _ in pairs]], [[german for _, german in pairs]]


def miniature() -> dict:
    source_2015, target_2015 = newstest(2015, 5)
    source_2016, target_2016 = newstest(2016, 4)
    return {
        EUROPARL: tar_gz(parallel("europarl-v7.de-en", sentence_pairs(200, seed=1))),
        COMMON_CRAWL: tar_gz(
            {"commoncrawl.cs-en.en": b"other\n", **parallel("commoncrawl.de-en", sentence_pairs(100, 2) + ODD_PAIRS)}
        ),
        NEWS_COMMENTARY: tar_gz(
            parallel("training-parallel-nc-v11/news-commentary-v11.de-en", sentence_pairs(100, seed=3))
        ),
        DEV: tar_gz(
            {
                "dev/newstest2014-deen-src.en.sgm": sgm("srcset", NEWSTEST2014),
                "dev/newstest2014-deen-ref.de.sgm": sgm("refset", NEWSTEST2014_DE),
                "dev/newstest2015-ende-src.en.sgm": sgm("srcset", source_2015),
                "dev/newstest2015-ende-ref.de.sgm": sgm("refset", target_2015),
            }
        ),
        TEST: tar_gz(
            {
                "test/newstest2016-ende-src.en.sgm": sgm("srcset", source_2016),
                "test/newstest2016-ende-ref.de.sgm": sgm("refset", target_2016),
            }
        ),
    }


ARCHIVES = miniature()


@pytest.fixture
def mirror():
    with serve(dict(ARCHIVES)) as running:
        yield running


def run_script(name: str, *arguments) -> str:
    """Runs a Python script of the example; returns its error message, "" after success."""
    on_stop = signal.getsignal(signal.SIGTERM)  # the commands set these variables themselves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        patch.syspath_prepend(EXAMPLE)
        try:
            runpy.run_path(str((EXAMPLE / name).resolve()), run_name="__main__")
        except SystemExit as stop:
            assert isinstance(stop.code, str), stop.code
            return stop.code
        finally:
            signal.signal(signal.SIGTERM, on_stop)
    return ""


@pytest.fixture
def run(capsys):
    """Runs a script; returns its exit status and its output."""

    def status_and_words(name: str, *arguments) -> tuple:
        sentence = run_script(name, *arguments)
        return int(bool(sentence)), capsys.readouterr().err + sentence

    return status_and_words


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr("gnmt.corpora.transfer.time.sleep", lambda seconds: None)


def archives_in(directory: Path) -> dict:
    return {path.name: path.read_bytes() for path in directory.glob("*.tgz")}


def by_name() -> dict:
    return {path.rsplit("/", 1)[1]: content for path, content in ARCHIVES.items()}


def test_download_brings_every_archive_and_a_second_run_asks_for_nothing(mirror: Mirror, run, tmp_path):
    assert run("download.py", "--output", tmp_path, "--mirror", mirror.address)[0] == 0
    assert archives_in(tmp_path / "archives") == by_name()
    sums = (tmp_path / "archives" / "SHA256SUMS").read_text().splitlines()
    assert sums == [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in sorted(by_name().items())]

    mirror.requests.clear()
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert (status, mirror.requests) == (0, []) and output.count("already here") == 5


def test_a_cut_connection_is_taken_up_where_it_broke(mirror: Mirror, run, tmp_path):
    mirror.cut_once[EUROPARL] = 1000
    assert run("download.py", "--output", tmp_path, "--mirror", mirror.address)[0] == 0
    assert mirror.asked_for(EUROPARL) == [None, "bytes=1000-"]
    assert archives_in(tmp_path / "archives") == by_name()


def partly_downloaded(output: Path, content: bytes) -> None:
    (output / "archives").mkdir()
    (output / "archives" / "de-en.tgz.part").write_bytes(content)


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_run_that_was_killed_is_continued(mirror: Mirror, run, tmp_path, knows_ranges):
    mirror.knows_ranges = knows_ranges
    partly_downloaded(tmp_path, ARCHIVES[EUROPARL][:700])
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 0 and archives_in(tmp_path / "archives") == by_name()
    assert mirror.asked_for(EUROPARL) == ["bytes=700-"]
    assert ("cannot continue" in output) is not knows_ranges
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("surplus", [b"", b"more than the server has"])
def test_a_part_that_reached_the_end(mirror: Mirror, run, tmp_path, no_pause, surplus):
    partly_downloaded(tmp_path, ARCHIVES[EUROPARL] + surplus)
    assert run("download.py", "--output", tmp_path, "--mirror", mirror.address)[0] == 0
    assert archives_in(tmp_path / "archives") == by_name()


def test_a_part_of_another_file_is_detected(mirror: Mirror, run, tmp_path):
    partly_downloaded(tmp_path, bytes(700))
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 0 and archives_in(tmp_path / "archives") == by_name()
    assert mirror.asked_for(EUROPARL) == ["bytes=700-", None]
    assert "not a valid .tgz file" in output


def test_a_stalled_transfer_ends_with_a_message(mirror: Mirror, run, tmp_path, no_pause):
    mirror.ends_at[DEV] = 300
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 1 and "dev.tgz stops after 300 bytes" in output and "again to continue" in output
    assert (tmp_path / "archives" / "dev.tgz.part").stat().st_size == 300

    del mirror.ends_at[DEV]
    assert run("download.py", "--output", tmp_path, "--mirror", mirror.address)[0] == 0
    assert mirror.asked_for(DEV)[-1] == "bytes=300-"
    assert archives_in(tmp_path / "archives") == by_name()


WEB_PAGE = b"<html>Please sign in.</html>"
FLIPPED = ARCHIVES[DEV][:200] + bytes([ARCHIVES[DEV][200] ^ 255]) + ARCHIVES[DEV][201:]
CUT_SHORT = ARCHIVES[DEV][:-20]
NO_TAR = gz(b"words " * 300)


@pytest.mark.parametrize("bad", [WEB_PAGE, FLIPPED, CUT_SHORT, NO_TAR], ids=["page", "flipped", "short", "no tar"])
def test_a_corrupt_archive_is_moved_aside_and_fetched_again(mirror: Mirror, run, tmp_path, bad):
    mirror.served_once[DEV] = bad
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 0 and archives_in(tmp_path / "archives") == by_name()
    assert "dev.tgz is bad" in output and (tmp_path / "archives" / "dev.tgz.corrupt").read_bytes() == bad


def test_an_archive_that_stays_corrupt(mirror: Mirror, run, tmp_path):
    mirror.files[DEV] = FLIPPED
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 1 and "gave a bad dev.tgz twice" in output and "--from-directory" in output
    assert not (tmp_path / "archives" / "dev.tgz").exists() and len(mirror.asked_for(DEV)) == 2


def test_damage_after_the_download_is_found_by_the_recorded_sum(mirror: Mirror, run, tmp_path):
    run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    (tmp_path / "archives" / "test.tgz").write_bytes(ARCHIVES[DEV])  # a valid archive with other content
    mirror.requests.clear()
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 0 and [path for path, _ in mirror.requests] == [TEST] and "its sha256 is" in output
    assert archives_in(tmp_path / "archives") == by_name()


def test_given_checksums(mirror: Mirror, run, tmp_path):
    checksums = tmp_path / "wanted"
    options = ("--output", tmp_path, "--mirror", mirror.address, "--checksums", checksums)
    checksums.write_text(f"{'0' * 64}  dev.tgz\n")
    status, output = run("download.py", *options)
    assert status == 1 and "gave a bad dev.tgz twice" in output and f"expected {'0' * 64}" in output

    checksums.write_text(f"{hashlib.sha256(ARCHIVES[DEV]).hexdigest()} *some/folder/dev.tgz\n")
    assert run("download.py", *options)[0] == 0

    for text, error_message in (
        ("dev.tgz\n", "not a checksum"),
        (f"{'0' * 64}  other.tgz\n", "has no sum of de-en.tgz"),
    ):
        checksums.write_text(text)
        status, output = run("download.py", *options)
        assert status == 1 and error_message in output
    checksums.unlink()
    assert "does not exist" in run("download.py", *options)[1]


def test_local_directory(run, tmp_path):
    local = tmp_path / "local copy"
    local.mkdir()
    for name, content in by_name().items():
        (local / name).write_bytes(content)
    options = ("--output", tmp_path / "out", "--from-directory", local)
    assert run("download.py", *options)[0] == 0
    assert run("download.py", *options)[0] == 0  # the second run
    assert archives_in(tmp_path / "out" / "archives") == by_name()

    (local / "dev.tgz").write_bytes(FLIPPED)
    status, output = run("download.py", "--output", tmp_path / "other", "--from-directory", local)
    assert status == 1 and f"{local / 'dev.tgz'} is bad" in output
    assert (local / "dev.tgz").read_bytes() == FLIPPED  # the user's files are not changed

    (local / "dev.tgz").unlink()
    (local / "test.tgz").unlink()
    status, output = run("download.py", "--output", tmp_path / "other", "--from-directory", local)
    assert status == 1 and "has no dev.tgz, test.tgz" in output


def test_servers_that_cannot_help(mirror: Mirror, run, tmp_path):
    del mirror.files[EUROPARL]
    status, output = run("download.py", "--output", tmp_path, "--mirror", mirror.address)
    assert status == 1 and "de-en.tgz answers 404" in output and "--mirror" in output
    status, output = run("download.py", "--output", tmp_path, "--mirror", "http://127.0.0.1:9")
    assert status == 1 and "cannot be reached" in output and "--from-directory" in output
    status, output = run("download.py", "--output", tmp_path, "--mirror", "/some/folder")
    assert status == 1 and "use --from-directory" in output


def put_archives(output: Path, **changed: bytes) -> None:
    (output / "archives").mkdir(parents=True)
    for name, content in {**by_name(), **{f"{name}.tgz": content for name, content in changed.items()}}.items():
        (output / "archives" / name).write_bytes(content)


def test_extracted_text(run, tmp_path):
    put_archives(tmp_path)
    assert run("extract.py", "--output", tmp_path)[0] == 0
    raw = tmp_path / "raw"
    english, german = zip(*sentence_pairs(200, seed=1))
    assert (raw / "europarl-v7.en").read_bytes() == joined(english)
    assert (raw / "europarl-v7.de").read_bytes() == joined(german)
    assert (raw / "news-commentary-v11.de").read_bytes().count(b"\n") == 100
    assert (raw / "commoncrawl.de").read_bytes().endswith(b"Leer .\na b\rc d .\n")  # as published

    assert (raw / "test.en").read_text() == 'S&P says "no" .\nspaced out and broken\n\nthe last one .\n'
    assert (raw / "test.de").read_text() == 'S&P sagt "nein" .\nverteilt\n\nder letzte <hier> .\n'
    source_2015, source_2016 = newstest(2015, 5)[0][0], newstest(2016, 4)[0][0]
    assert (raw / "valid.en").read_text().splitlines() == source_2015 + source_2016
    assert len(list(raw.iterdir())) == 10  # and no other files

    before = {path: path.stat().st_mtime_ns for path in raw.iterdir()}
    shutil.rmtree(tmp_path / "archives")
    assert run("extract.py", "--output", tmp_path)[0] == 0  # a second run needs no archive
    assert {path: path.stat().st_mtime_ns for path in raw.iterdir()} == before


def dev_archive(german: bytes) -> bytes:
    return tar_gz(
        {
            "dev/newstest2014-deen-src.en.sgm": sgm("srcset", NEWSTEST2014),
            "dev/newstest2014-deen-ref.de.sgm": german,
            **{f"dev/newstest2015-ende-{side}.sgm": sgm("srcset", [["one"]]) for side in ("src.en", "ref.de")},
        }
    )


# The German side lacks segment 2 of the first document / is cut in the middle / holds nothing / is not UTF-8.
ONE_LESS = sgm("refset", [["first"], ["third", "fourth"]])
BAD_SGM = [
    (ONE_LESS, "4 source and 3 target segments; the first difference is at sentence 2 (document paper.1, segment 2)"),
    (sgm("refset", NEWSTEST2014_DE)[:-60], "opens 4 segments and closes 3"),
    (b"", "opens 0 segments"),
    (sgm("refset", NEWSTEST2014_DE).decode("utf-8").replace("letzte", "größte").encode("latin-1"), "not UTF-8"),
]


@pytest.mark.parametrize("german, error_message", BAD_SGM, ids=["missing", "cut", "empty", "latin-1"])
def test_bad_sgm_files(run, tmp_path, german, error_message):
    put_archives(tmp_path, dev=dev_archive(german))
    status, output = run("extract.py", "--output", tmp_path)
    assert status == 1 and error_message in output
    assert not (tmp_path / "raw" / "test.de").exists()


def test_bad_training_archives(run, tmp_path):
    status, output = run("extract.py", "--output", tmp_path)
    assert status == 1 and "de-en.tgz is missing; run download.py" in output

    uneven = {**parallel("europarl-v7.de-en", sentence_pairs(9, seed=1)), "europarl-v7.de-en.de": b"eins\nzwei"}
    for number, (archive, error_message) in enumerate(
        [
            (tar_gz(uneven), "9 English and 2 German lines"),
            (tar_gz({"europarl-v7.de-en.en": b"one\n"}), "does not hold europarl-v7.de-en.de"),
            (ARCHIVES[EUROPARL][:1500], "is damaged"),
        ]
    ):
        folder = tmp_path / str(number)
        put_archives(folder, **{"de-en": archive})
        status, output = run("extract.py", "--output", folder)
        assert status == 1 and error_message in output
        assert not list((folder / "raw").iterdir())


def test_names_inside_an_archive_write_nowhere(run, tmp_path):
    members = {"../../outside": b"evil", "/tmp/absolute": b"evil"}
    put_archives(tmp_path / "out", **{"de-en": tar_gz({**members, **parallel("europarl-v7.de-en", [("a", "b")])})})
    assert run("extract.py", "--output", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "raw" / "europarl-v7.en").read_text() == "a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def stage(name: str, *arguments, directory: Path) -> subprocess.CompletedProcess:
    """Runs a script of the example from another directory."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", str(EXAMPLE / name), *map(str, arguments)]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Fixture: the corpus after download.py, extract.py and prepare.sh, in a folder with a space in its name."""
    directory = tmp_path_factory.mktemp("wmt16")
    output = directory / "my corpus"
    with serve(dict(ARCHIVES)) as mirror:
        assert run_script("download.py", "--output", output, "--mirror", mirror.address) == ""
    assert run_script("extract.py", "--output", output) == ""
    done = stage("prepare.sh", "--output", "my corpus", "--vocab-size", 150, "--jobs", 2, directory=directory)
    assert done.returncode == 0, done.stderr
    return output


def line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def test_cleaning_of_the_training_pairs(prepared):
    report = json.loads((prepared / "clean" / "train.cleaning.json").read_text())
    assert (report["read"], report["kept"]) == (404, 401)
    assert {reason: count for reason, count in report["dropped"].items() if count} == {
        "empty": 1,
        "too_long": 1,
        "encoding": 1,
    }
    assert line_count(prepared / "clean" / "train.en") == line_count(prepared / "clean" / "train.de") == 401


def test_binarised_corpus(prepared):
    from fairseq.data import Dictionary, data_utils

    english, german = (Dictionary.load(str(prepared / "bin" / f"dict.{language}.txt")) for language in ("en", "de"))
    assert english == german and len(english) % 8 == 0 and len(english) >= 150
    # Validation and test keep every line: 5 + 4 of newstest2015 and 2016, 4 of newstest2014, one of them empty.
    for split, lines in (("train", 401), ("valid", 9), ("test", 4)):
        for language in ("en", "de"):
            prefix = prepared / "bin" / f"{split}.en-de.{language}"
            assert len(data_utils.load_indexed_dataset(str(prefix), english)) == lines
    train = data_utils.load_indexed_dataset(str(prepared / "bin" / "train.en-de.de"), english)
    assert not any(english.unk() in sentence for sentence in train)


def test_prepared_again(prepared):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    done = stage("prepare.sh", "--output", "my corpus", "--vocab-size", 150, directory=prepared.parent)
    assert done.returncode == 0, done.stderr
    after = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    assert after == before

    done = stage("prepare.sh", "--output", "my corpus", "--vocab-size", 160, directory=prepared.parent)
    assert done.returncode == 1 and "--overwrite" in done.stderr and "vocab-size=150" in done.stderr


def contents(folder: Path) -> dict:
    """Returns the files of a folder, except its lock, which contains a process id."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_prepared_again_with_a_vocabulary_that_is_too_large(prepared):
    before = contents(prepared)
    options = ("--output", "my corpus", "--vocab-size", 90000, "--overwrite")
    done = stage("prepare.sh", *options, directory=prepared.parent)
    assert done.returncode == 1 and "90000" in done.stderr
    shutil.rmtree(prepared / "unfinished")
    assert contents(prepared) == before


def test_scripts_name_the_stage_that_is_missing(tmp_path):
    for script, error_message in (
        ("prepare.sh", "europarl-v7.en is missing or empty; run the download"),
        ("train.sh", "bin is missing; run prepare.sh"),
        ("evaluate.sh", "checkpoint_last.pt is missing; run train.sh"),
    ):
        done = stage(script, "--output", tmp_path, directory=tmp_path)
        assert done.returncode == 1 and error_message in done.stderr and len(done.stderr.splitlines()) == 1
        done = stage(script, "--ouput", tmp_path, directory=tmp_path)
        assert done.returncode == 1 and "unknown option --ouput" in done.stderr


def test_updates_of_six_epochs(prepared, capsys):
    # 401 pairs in updates of 100 are 5 an epoch; no pair is as short as 3 tokens with BOS and EOS.
    options = (prepared / "bin", "--global-batch", 100, "--epochs", 6, "--max-length")
    assert run_script("../count_updates.py", *options, 500) == ""
    assert capsys.readouterr().out == "30\n"
    assert "no training pair of at most 3 tokens" in run_script("../count_updates.py", *options, 3)


def test_length_of_a_pair_counts_begin_and_end(prepared, capsys):
    encoded = [(prepared / "encoded" / f"train.{language}").read_text().splitlines() for language in ("en", "de")]
    lengths = [max(len(side.split()) for side in pair) + 2 for pair in zip(*encoded)]
    middle = sorted(lengths)[len(lengths) // 2]
    assert (
        run_script("../count_updates.py", prepared / "bin", "--global-batch", 1, "--epochs", 1, "--max-length", middle)
        == ""
    )
    assert int(capsys.readouterr().out) == sum(length <= middle for length in lengths)


TINY = ("--cpu", "--batch-size", 16, "--global-batch", 32, "--", "--arch", "gnmt_v2_tiny", "--max-update", 2)
TINY_ONCE = (*TINY, "--num-workers", 0, "--no-progress-bar", "--log-format", "json", "--log-interval", 1)


@pytest.mark.slow  # four commands that load torch and fairseq
def test_two_updates_and_newstest2014_translated(prepared):
    done = stage("train.sh", "--output", "my corpus", *TINY_ONCE, directory=prepared.parent)
    assert done.returncode == 0, done.stderr
    assert (prepared / "checkpoints" / "checkpoint_last.pt").exists()
    done = stage("train.sh", "--output", "my corpus", *TINY_ONCE, directory=prepared.parent)
    assert done.returncode == 0 and "already trained" in done.stderr
    done = stage("train.sh", "--output", "my corpus", *TINY_ONCE, "--seed", 2, directory=prepared.parent)
    assert done.returncode == 1 and "trained with other options" in done.stderr

    done = stage("evaluate.sh", "--output", "my corpus", "--", "--max-len-b", 10, directory=prepared.parent)
    assert done.returncode == 0, done.stderr
    assert line_count(prepared / "translations" / "checkpoint_last.test.de") == 4
    assert "BLEU" in done.stdout


@pytest.mark.slow
def test_training_in_two_processes(prepared):
    options = ("--output", "my corpus", "--processes", 2, *TINY_ONCE, "--save-dir=two processes")
    done = stage("train.sh", *options, directory=prepared.parent)
    assert done.returncode == 0, done.stderr
    assert (prepared.parent / "two processes" / "checkpoint_last.pt").exists()


def test_batches_that_do_not_divide_are_refused(prepared):
    done = stage("train.sh", "--output", "my corpus", "--cpu", "--batch-size", 300, directory=prepared.parent)
    assert done.returncode == 1 and "do not divide --global-batch 1024" in done.stderr


SRUN = '#!/bin/bash\nfor SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@" || true; done\n'
SCONTROL = "#!/bin/bash\necho first\necho second\n"
# fails, so that the second machine does not find a finished training
TORCHRUN = "#!/bin/bash\necho launched $*\nexit 1\n"


@pytest.mark.slow
def test_slurm_job_launches_every_machine(prepared, tmp_path):
    """Runs the job file with stand-ins for SLURM's commands and torchrun on two simulated machines."""
    for name, script in (("srun", SRUN), ("scontrol", SCONTROL), ("torchrun", TORCHRUN)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_NODELIST": "x", "SLURM_JOB_ID": "5", "SLURM_NNODES": "2"}
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", EXAMPLE / "train.sbatch", "--cpu", "--processes", "8", "--output", prepared]
    command += ["--", "--save-dir", tmp_path / "checkpoints"]
    environment = {**os.environ, **slurm, "PATH": path, "VIRTUAL_ENV": sys.prefix}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    launched = [line for line in done.stdout.splitlines() if line.startswith("launched")]
    assert len(launched) == 2, done.stderr
    for rank, line in enumerate(launched):
        assert f"--nproc_per_node 8 --nnodes 2 --node_rank {rank} --master_addr first --master_port 20005" in line
        assert "--batch-size 64 --update-freq 1" in line and "--distributed-world-size 16" in line  # 1024 pairs
