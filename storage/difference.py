"""What stands between a source and a published version, worked out in SQL on disk.

A run streams its source once through `Difference.add`. It keeps ids, hashes, event times and kept
columns in a scratch DuckDB file, so that memory stays flat however many records there are, and it
answers which contents have to go through the encoder. When these are staged, it gives the rows to
write, the ids to remove, and the counts.
"""

from __future__ import annotations

from storage._difference_chunks import Chunks
from storage._difference_rows import Written
from storage._difference_told import Told


class Difference(Chunks, Told, Written):
    """The difference between a source and the published rows of a version.

    Args:
        scratch: the file to work in, made anew.
        base: the published rows, None where nothing is published yet.
        kept: the kept columns of the source and their types.
        history: whether the version keeps every content that a record ever had. A row then goes by
            `storage.vectors.HISTORY_KEY`, and what a record was before is left as it stands.
        parts: where rows are parts of records, the kept columns that say so; not in a history.
            Records are then numbered, refused and limited as a whole, and a record that was read
            loses the parts that it has no more.
        thumbnails: whether the table keeps small copies of images (`storage.vectors.THUMBNAIL`).
            Where it did not before, rows get one when their content is encoded.
        memory: MiB that DuckDB may hold before it goes to disk. Where it has far more to compare
            it may hold more, by the root of how much: a join on disk needs that.

    Attributes:
        rewrites: whether the kept columns are others than published, so that every row of the
            table has to be written again.
    """
