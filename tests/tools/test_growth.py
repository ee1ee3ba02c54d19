"""Tests the measurement of cost against network size: formulas by hand, table, picture, and the script at its smallest
size.
"""

import json
import sys
from pathlib import Path

import pytest
from png import file_size

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import benchmark_growth  # noqa: E402
import plot_growth  # noqa: E402
from benchmarking.growth import (  # noqa: E402
    COSTS, TRAINING, TRANSLATION, TRANSLATION_INT8, Growth, Point, as_json, from_json, grid, operations, rows, summary,
)  # fmt: skip
from gnmt.errors import UserError  # noqa: E402
from benchmarking.growth_curves import PANEL_INCHES, draw, formula_line, measurements, panels  # noqa: E402
from gnmt.plots.pictures import DOTS_PER_INCH  # noqa: E402

BASE = Point(hidden=16, vocabulary=60, length=4, batch=2, beam=5)
WIDE, DEEP_BEAM = BASE._replace(hidden=32), BASE._replace(beam=10)


def artificial_growth() -> Growth:
    """Returns artificial seconds; an int8 translation takes half the time of a float32 translation."""
    training = {BASE: [0.5, 0.25, 1.0], WIDE: [1.5, 2.0, 1.0], DEEP_BEAM: [0.5, 0.5, 0.5]}
    translation = {BASE: [2.0, 2.0, 2.0], WIDE: [6.0, 6.0, 8.0], DEEP_BEAM: [4.0, 4.0, 4.0]}
    seconds = {
        point: {TRAINING: training[point], TRANSLATION: slow, TRANSLATION_INT8: [second / 2 for second in slow]}
        for point, slow in translation.items()
    }
    return Growth(BASE, 4, seconds, peak=1e6)


def test_points():
    assert grid(BASE, {"hidden": [32, 16], "beam": [5], "batch": []}) == [BASE, WIDE]


def test_operations():
    """2 sentences of 4 tokens: 8 on each side; 45 H^2 weights in 4 + 4 layers; (1 + 3 * 5) steps for each sentence."""
    encoder, decoder = 2 * 45 * 16**2, 2 * (45 * 16**2 + 60 * 16) + 6 * 4 * 16
    assert operations(TRAINING, BASE, layers=4) == 3 * 8 * (encoder + decoder)
    assert operations(TRANSLATION, BASE, layers=4) == 8 * encoder + 2 * (1 + 3 * 5) * decoder
    assert operations(TRANSLATION_INT8, BASE, layers=4) == operations(TRANSLATION, BASE, layers=4)


def test_formula_as_it_is_printed():
    """FORMULAS at 6 layers: 2 (8 L + 13) H^2 and 2 ((12 L - 3) H^2 + V H) + 6 S H."""
    hidden, vocabulary, length, batch, beam = point = Point(24, 70, 5, 3, 2)
    encoder = 2 * (8 * 6 + 13) * hidden**2
    decoder = 2 * ((12 * 6 - 3) * hidden**2 + vocabulary * hidden) + 6 * length * hidden
    tokens = batch * length
    assert operations(TRAINING, point, layers=6) == 3 * tokens * (encoder + decoder)
    steps = batch * (1 + (length - 1) * beam)
    assert operations(TRANSLATION, point, layers=6) == tokens * encoder + steps * decoder


def test_series():
    growth = artificial_growth()
    assert growth.variables == ["hidden", "beam"]
    assert growth.along("hidden") == [BASE, WIDE] and growth.along("beam") == [BASE, DEEP_BEAM]
    assert growth.formula(TRAINING, BASE) == operations(TRAINING, BASE, 4) / 1e6


def test_table():
    growth = artificial_growth()
    first, last = rows(growth, "hidden")
    assert first["hidden"] == "16" and last["hidden"] == "32"
    assert last["training fp32 ms"] == "1500.0 (1000.0 - 2000.0)" and last["translation int8 ms"].startswith("3000.0 ")
    assert first["formula of training ms"] == f"{operations(TRAINING, BASE, 4) / 1000:.1f}"
    assert {row["training fp32 ms"] for row in rows(growth, "beam")} == {"-"}


def test_summary():
    """Training takes 1.5 / 0.5 as long, translation 6 / 2."""
    text = summary(artificial_growth(), "hidden")
    assert text.startswith("hidden 16 to 32 (x2.0): training fp32 x3.0 (formula x")
    ratio = operations(TRANSLATION, WIDE, 4) / operations(TRANSLATION, BASE, 4)
    assert f"translation int8 x3.0 (formula x{ratio:.1f})" in text
    assert "training" not in summary(artificial_growth(), "beam")


def test_json_and_back():
    assert from_json(json.loads(json.dumps(as_json(artificial_growth())))) == artificial_growth()


# -- the picture


def test_drawn_values():
    growth = artificial_growth()
    curves = measurements(growth, TRAINING, "hidden")
    assert curves == ([16, 32], [500.0, 1500.0], [250.0, 500.0], [500.0, 500.0])
    line = formula_line(growth, TRAINING, "hidden")
    assert line.x[0] == 16 and line.x[-1] == 32 and line.x == sorted(set(line.x))
    assert [line.y[0], line.y[-1]] == pytest.approx([operations(TRAINING, point, 4) / 1000 for point in (BASE, WIDE)])
    assert [(row, column, variable) for row, column, _, variable in panels(growth)] == [
        (0, 0, "hidden"), (1, 0, "hidden"), (1, 1, "beam"),
    ]  # fmt: skip
    training, translation, beam = draw(growth).axes
    assert [line.get_ydata().tolist() for line in training.lines if len(line.get_xdata()) == 2][0] == [500.0, 1500.0]
    assert [container.lines[0].get_ydata().tolist() for container in beam.containers] == [[2000, 4000], [1000, 2000]]
    assert translation.get_title() == "translation, ms per batch" and beam.get_xlabel() == "beam"


def plot(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["plot_growth.py", *map(str, arguments)])
    plot_growth.main()


def test_plot_growth(monkeypatch, tmp_path, capsys):
    source, output = tmp_path / "growth.json", tmp_path / "growth.png"
    source.write_text(json.dumps(as_json(artificial_growth())))
    plot(monkeypatch, source, "--output", output)
    assert file_size(output) == tuple(int(2 * side * DOTS_PER_INCH) for side in PANEL_INCHES)
    assert capsys.readouterr().out == f"{output}: hidden, beam at 3 points\n"
    with pytest.raises(UserError, match="growth.png exists: .*--overwrite"):
        plot(monkeypatch, source, "--output", output)
    plot(monkeypatch, source, "--output", output, "--overwrite")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"points": [{"hidden": 1}]}'])
def test_other_files_are_refused(monkeypatch, tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match="is not a file of benchmark_growth.py"):
        plot(monkeypatch, tmp_path / "x.json", "--output", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_nothing_grows_at_one_point(monkeypatch, tmp_path):
    growth = artificial_growth()
    (tmp_path / "x.json").write_text(json.dumps(as_json(growth._replace(seconds={BASE: growth.seconds[BASE]}))))
    with pytest.raises(UserError, match="nothing grows"):
        plot(monkeypatch, tmp_path / "x.json", "--output", tmp_path / "x.png")


# -- measuring


def parse(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark_growth.py", *map(str, arguments)])
    return benchmark_growth.parse_options()


def test_points_of_the_command_line(monkeypatch):
    args = parse(monkeypatch, "--quick", "--length", 5, "--hidden-values", "--batch-values", 4, 3)
    base = Point(hidden=16, vocabulary=60, length=5, batch=2, beam=2)
    assert benchmark_growth.points_of(args) == [
        base,
        base._replace(batch=3),
        base._replace(batch=4),
        base._replace(beam=1),
    ]
    whole = benchmark_growth.points_of(parse(monkeypatch))
    assert whole[0] == benchmark_growth.BASE and len(whole) == len(set(whole)) == 1 + 4 + 4 + 4 + 5 + 4


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--beam", 0], "--beam or --beam-values has 0, but at least 1"),
        (["--length-values", 1], "--length or --length-values has 1, but at least 2"),
        (["--vocabulary", 4], "has 4, but at least 5"),
        (["--layers", 1], "--layers is 1"),
        (["--repetitions", 0], "--repetitions is 0"),
        (["--json", "/nowhere/growth.json"], "is not a folder"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(monkeypatch, arguments, words):
    with pytest.raises(UserError, match=words):
        benchmark_growth.points_of(parse(monkeypatch, *arguments))


def test_benchmark_of_growth(monkeypatch, tmp_path, capsys):
    """The numbers in table and picture follow from the measured seconds."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # it sets variables for its processes; restore them after the test
    options = "--quick --threads 1 --layers 2 --repetitions 2 --warm-up 0 --beam-values --allow-busy --json".split()
    monkeypatch.setattr(sys, "argv", ["benchmark_growth.py", *options, str(tmp_path / "growth.json")])
    benchmark_growth.main()
    done = capsys.readouterr()
    assert "point 2 of 2" in done.err and " left]" in done.err
    content = json.loads((tmp_path / "growth.json").read_text())
    growth = from_json(content)
    assert growth.along("hidden") == list(growth.seconds) and growth.layers == 2
    assert all(len(growth.seconds[point][cost]) == 2 for point in growth.seconds for cost in COSTS)
    assert content["tables"] == {"hidden": rows(growth, "hidden")}
    assert "| hidden | training fp32 ms |" in done.out and summary(growth, "hidden") in done.out
    assert content["environment"]["threads"] == 1
    plot(monkeypatch, tmp_path / "growth.json", "--output", tmp_path / "growth.png")
    assert file_size(tmp_path / "growth.png") == tuple(
        int(side * number * DOTS_PER_INCH) for side, number in zip(PANEL_INCHES, (1, 2))
    )
