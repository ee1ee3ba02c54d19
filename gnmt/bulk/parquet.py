"""Parquet: one column of text is translated, and columns are added. Needs pyarrow, which the extra [bulk] installs.

The input and the output of each shard are Parquet files with one row group.
"""

import io
from pathlib import Path
from typing import Any, BinaryIO, Iterable, Iterator, Sequence, Tuple

from gnmt.bulk.formats import NBEST, SCORE, TRANSLATION, decoded
from gnmt.bulk.rows import ExtraFields, Row, Rows, TranslatedRow, score_of
from gnmt.errors import UserError
from gnmt.extras import remedy

NULL = "it is null"  # problem of a row without a text; its translation is null too


def count_rows_of(path: Path) -> int:
    """Returns the number of rows of a Parquet file. Raises UserError if the file is not Parquet."""
    with _opened(path) as file:
        return file.metadata.num_rows


def _opened(path: Path) -> Any:
    arrow = _pyarrow()
    try:
        return arrow.parquet.ParquetFile(path)
    except (arrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}): check the path.") from error


def cut_rows(path: Path, column: str, rows_per_shard: int) -> Iterator[Tuple[int, bytes]]:
    """Yields the number of rows and the bytes of each shard; at least one shard.

    Args:
        path: Parquet file.
        column: name of the column with the text.
        rows_per_shard: number of rows of each shard but the last.

    Raises:
        UserError: if the file is not Parquet, or has no such column of text.
    """
    arrow = _pyarrow()
    file = _opened(path)
    schema = file.schema_arrow
    if schema.names.count(column) > 1:
        raise UserError(f"{path} has {schema.names.count(column)} columns {column!r}: give each its own name.")
    if column not in schema.names:
        raise UserError(f"{path} has no column {column!r}, but {', '.join(schema.names)}: choose one with --column.")
    kind = schema.field(column).type
    if arrow.types.is_dictionary(kind):
        kind = kind.value_type
    if not (arrow.types.is_string(kind) or arrow.types.is_large_string(kind)):
        raise UserError(f"The column {column!r} of {path} holds {kind}, not strings: choose another with --column.")
    return _cut(path, file, schema, rows_per_shard)


def _cut(path: Path, file, schema, rows_per_shard: int) -> Iterator[Tuple[int, bytes]]:
    arrow = _pyarrow()
    table = schema.empty_table()
    is_first = True
    for batch in _batches(path, file, rows_per_shard):
        table = arrow.concat_tables([table, arrow.Table.from_batches([batch], schema)])
        while len(table) >= rows_per_shard:
            yield rows_per_shard, _written(table.slice(0, rows_per_shard))
            table = table.slice(rows_per_shard)
            is_first = False
    if is_first or len(table):
        yield len(table), _written(table)


def _batches(path: Path, file, rows: int) -> Iterator[Any]:
    """Yields the rows of a file. Raises UserError if the file is damaged.

    Args:
        path: path of the file, for errors.
        file: open Parquet file.
        rows: maximum number of rows of a batch.
    """
    arrow = _pyarrow()
    try:
        yield from file.iter_batches(batch_size=rows)
    except (arrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({str(error).splitlines()[0]}): fetch it again.") from error


def read_parquet(content: bytes, column: str) -> Rows:
    """Returns the rows of a shard with the text of a column; bytes that are not UTF-8 are replaced by U+FFFD.

    Args:
        content: shard of the input, a Parquet file.
        column: name of the column.
    """
    arrow = _pyarrow()
    values = _table(content).column(column)
    if arrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    values = values.cast(arrow.large_string()).cast(arrow.large_binary())  # Parquet's strings are not always UTF-8
    return [Row("", NULL) if value is None else Row(*decoded(value)) for value in values.to_pylist()]


def write_parquet(
    content: bytes, rows: Sequence[Row], translations: Sequence[TranslatedRow], extra: ExtraFields
) -> bytes:
    """Returns a shard with the translations in additional columns; existing columns with these names are replaced.

    Args:
        content: shard of the input.
        rows: rows of the content.
        translations: one for each row.
        extra: columns to write besides the translation.
    """
    arrow = _pyarrow()
    table = _table(content)
    texts = [None if row.problem == NULL else translation.text for row, translation in zip(rows, translations)]
    columns = [(TRANSLATION, arrow.array(texts, arrow.string()))]
    if extra.score:
        scores = [score_of(row, translation) for row, translation in zip(rows, translations)]
        columns.append((SCORE, arrow.array(scores, arrow.float64())))
    if extra.nbest:
        kind = arrow.list_(arrow.struct([("text", arrow.string()), ("score", arrow.float64())]))
        lists = [
            [{"text": other.text, "score": other.score} for other in translation.nbest] for translation in translations
        ]
        columns.append((NBEST, arrow.array(lists, kind)))
    for name, values in columns:
        others = [index for index, other in enumerate(table.column_names) if other != name]
        table = table.select(others).append_column(name, values)
    return _written(table)


def join_parquet(shards: Iterable[bytes], file: BinaryIO) -> None:
    """Writes shards as one file; each shard is a row group.

    Args:
        shards: contents of the shards, in order.
        file: open for writing.
    """
    parquet = _pyarrow().parquet
    writer = None
    for content in shards:
        table = _table(content)
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def count_rows(content: bytes) -> int:
    """Returns the number of rows of a shard."""
    return _pyarrow().parquet.ParquetFile(io.BytesIO(content)).metadata.num_rows


def _table(content: bytes):
    """Returns the rows of a shard; unlike `pyarrow.parquet.read_table`, allows several columns of one name."""
    return _pyarrow().parquet.ParquetFile(io.BytesIO(content)).read()


def _written(table) -> bytes:
    file = io.BytesIO()
    _pyarrow().parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UserError(f"Parquet needs pyarrow: {remedy('bulk')}.") from error
    return pyarrow
