"""Tests bulk translation of Parquet tables against tables written by hand."""

import io

import pytest

from gnmt.bulk.parquet import count_rows, cut_rows, join_parquet, read_parquet, write_parquet
from gnmt.bulk.rows import ExtraFields, Row, ScoredText, TranslatedRow
from gnmt.errors import UserError

pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra [bulk]")
parquet = pytest.importorskip("pyarrow.parquet")

PLAIN = ExtraFields(score=False, nbest=False)
TABLE = {"id": [1, 2, 3, 4, 5], "text": ["one", None, " two\nlines", "", "five"]}


def content_of(table: dict) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(table), file)
    return file.getvalue()


def table_of(content: bytes) -> dict:
    return parquet.read_table(io.BytesIO(content)).to_pydict()


@pytest.fixture
def path(tmp_path):
    parquet.write_table(pyarrow.table(TABLE), tmp_path / "x.parquet", row_group_size=2)
    return tmp_path / "x.parquet"


def test_the_size_of_shards_does_not_depend_on_row_groups(path):
    shards = list(cut_rows(path, "text", 3))
    assert [lines for lines, _ in shards] == [3, 2]
    assert [table_of(content)["id"] for _, content in shards] == [[1, 2, 3], [4, 5]]
    assert [count_rows(content) for _, content in shards] == [3, 2]


def test_a_table_without_rows_is_one_shard(tmp_path):
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), tmp_path / "x")
    ((lines, content),) = cut_rows(tmp_path / "x", "text", 3)
    assert lines == 0 and read_parquet(content, "text") == []


def test_rows_and_their_translations():
    content = content_of(TABLE)
    rows = read_parquet(content, "text")
    assert rows == [Row("one"), Row("", "it is null"), Row("two lines"), Row(""), Row("five")]
    translations = [TranslatedRow(f"t{number}", -number, [ScoredText("n", -1.0)]) for number in range(5)]
    expected = {**TABLE, "translation": ["t0", None, "t2", "t3", "t4"]}
    assert table_of(write_parquet(content, rows, translations, PLAIN)) == expected
    full = table_of(write_parquet(content, rows, translations, ExtraFields(score=True, nbest=True)))
    assert full == {**expected, "score": [0, None, -2, None, -4], "nbest": [[{"text": "n", "score": -1.0}]] * 5}


def test_a_translation_replaces_a_column_of_its_name():
    content = content_of({"translation": ["old"], "text": ["a"]})
    assert table_of(write_parquet(content, [Row("a")], [TranslatedRow("new")], PLAIN)) == {
        "text": ["a"],
        "translation": ["new"],
    }


def test_shards_are_joined(path):
    file = io.BytesIO()
    join_parquet([content for _, content in cut_rows(path, "text", 2)], file)
    assert table_of(file.getvalue()) == TABLE
    assert parquet.ParquetFile(file).metadata.num_row_groups == 3


def test_other_files_and_columns_are_refused(path, tmp_path):
    (tmp_path / "text").write_text("no table\n")
    for name, column, sentence in (
        ("text", "text", "is not a Parquet file"),
        ("x.parquet", "source", "has no column 'source', but id, text: choose one"),
        ("x.parquet", "id", "The column 'id' of .* holds int64, not strings"),
    ):
        with pytest.raises(UserError, match=sentence):
            list(cut_rows(tmp_path / name, column, 3))


def invalid_strings():
    """Returns two strings, the second of which is not valid UTF-8; pyarrow does not check it."""
    offsets = b"".join(offset.to_bytes(4, "little") for offset in (0, 3, 6))
    return pyarrow.Array.from_buffers(
        pyarrow.string(), 2, [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(b"dogd\xf6g")]
    )


def test_invalid_utf_8_is_replaced_and_reported():
    content = content_of({"text": invalid_strings()})
    rows = read_parquet(content, "text")
    assert [row.text for row in rows] == ["dog", "d\ufffdg"]
    assert [row.problem for row in rows] == ["", "it is not UTF-8: it has the byte 0xf6, which is read as U+FFFD"]
    written = parquet.read_table(
        io.BytesIO(write_parquet(content, rows, [TranslatedRow("a"), TranslatedRow("b")], PLAIN))
    )
    assert written["translation"].to_pylist() == ["a", "b"]
    assert written["text"].cast(pyarrow.binary()).to_pylist() == [b"dog", b"d\xf6g"]


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_columns_of_every_kind_of_string_are_read(kind):
    texts = pyarrow.array(["a", None, "a"], pyarrow.large_string() if kind == "large_string" else pyarrow.string())
    content = content_of({"text": texts.dictionary_encode() if kind == "dictionary" else texts})
    assert read_parquet(content, "text") == [Row("a"), Row("", "it is null"), Row("a")]


def test_columns_of_one_name(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(UserError, match="x.parquet has 2 columns 'text': give each its own name"):
        cut_rows(tmp_path / "x.parquet", "text", 3)
    names = ["text", "x", "translation", "x", "translation"]
    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 5, names=names), tmp_path / "x.parquet")
    ((_, content),) = cut_rows(tmp_path / "x.parquet", "text", 3)
    written = write_parquet(content, read_parquet(content, "text"), [TranslatedRow("b")], PLAIN)
    assert parquet.ParquetFile(io.BytesIO(written)).schema_arrow.names == ["text", "x", "x", "translation"]
    joined = io.BytesIO()
    join_parquet([written, written], joined)
    assert count_rows(joined.getvalue()) == 2


def test_damaged_pages_are_reported(tmp_path):
    content = bytearray(content_of({"text": ["a dog", "a cat"]}))
    content[4:40] = bytes(36)  # the header of the first page
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(UserError, match="x.parquet is (damaged|not a Parquet file)"):
        list(cut_rows(tmp_path / "x.parquet", "text", 3))
