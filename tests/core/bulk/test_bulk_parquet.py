"""Parquet in bulk translation."""

import io

import pytest

from gnmt.bulk.parquet import count_rows, cut_rows, join_parquet, read_parquet, write_parquet
from gnmt.bulk.rows import Added, Row, Scored, Translated
from gnmt.errors import UserError

pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra [bulk]")
parquet = pytest.importorskip("pyarrow.parquet")

PLAIN = Added(score=False, nbest=False)
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


def test_shards_have_so_many_rows_whatever_the_row_groups_are(path):
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
    translations = [Translated(f"t{number}", -number, [Scored("n", -1.0)]) for number in range(5)]
    expected = {**TABLE, "translation": ["t0", None, "t2", "t3", "t4"]}
    assert table_of(write_parquet(content, rows, translations, PLAIN)) == expected
    full = table_of(write_parquet(content, rows, translations, Added(score=True, nbest=True)))
    assert full == {**expected, "score": [0, -1, -2, -3, -4], "nbest": [[{"text": "n", "score": -1.0}]] * 5}


def test_a_translation_replaces_a_column_of_its_name():
    content = content_of({"translation": ["old"], "text": ["a"]})
    assert table_of(write_parquet(content, [Row("a")], [Translated("new")], PLAIN)) == {
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
