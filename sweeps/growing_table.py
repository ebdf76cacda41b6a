"""Rows of a Parquet file that is still to grow."""

from __future__ import annotations

from typing import Generic

import pyarrow as pa

from sweeps.columns import Row, to_table


class GrowingTable(Generic[Row]):
    """Rows as an Arrow table that grows; each is converted once, which is what costs time."""

    def __init__(self, row_type: type[Row], table: pa.Table | None = None) -> None:
        self._row_type = row_type
        self._table = to_table(row_type, []) if table is None else table
        self._new: list[Row] = []

    def __len__(self) -> int:
        return len(self._table) + len(self._new)

    def append(self, row: Row) -> None:
        """Take in one row more."""
        self._new.append(row)

    def put(self, index: int, row: Row) -> None:
        """Replace one row."""
        table = self.table()
        one = to_table(self._row_type, [row])
        self._table = pa.concat_tables([table[:index], one, table[index + 1 :]])

    def table(self) -> pa.Table:
        """All rows."""
        if self._new:
            new = to_table(self._row_type, self._new)
            self._table = pa.concat_tables([self._table, new]).combine_chunks()
            self._new = []
        return self._table
