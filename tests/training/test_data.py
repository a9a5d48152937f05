"""Each rank's rows, and what becomes of their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.training.parcels import SIZES, Run
from training.train.batches import Batches
from training.train.data import DataError, Examples, Rows, equal_share, read_rows, share
from training.train.encoding import Category, Encoding, Number, ReportError, read_encoding, read_prior


@pytest.mark.parametrize(("rows", "size"), [(10, 1), (10, 3), (7, 7), (5, 8), (0, 2)])
def test_shares_cover_every_row_once_and_evenly(rows: int, size: int) -> None:
    shares = [share(rows, rank, size) for rank in range(size)]
    assert [row for part in shares for row in part] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_equal_shares_give_every_rank_as_many_steps() -> None:
    assert [equal_share(11, rank, 3) for rank in range(3)] == [range(3), range(3, 6), range(6, 9)]
    with pytest.raises(DataError, match="2 training rows cannot be shared by 3 processes"):
        equal_share(2, 0, 3)


def test_ranks_together_read_what_one_alone_reads(run: Run) -> None:
    # Given a split of two files whose row groups end where no share does
    examples, encoding = Examples(run.examples, "train"), read_encoding(run.reports)
    whole = read_rows(examples, encoding, range(len(examples)))
    # When four ranks read their shares
    parts = [read_rows(examples, encoding, share(len(examples), rank, 4)) for rank in range(4)]
    # Then nothing is missing, doubled or moved
    assert len(whole) == SIZES["train"]
    for name in ("numbers", "categories", "labels"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(torch.nan_to_num(joined, 9e9), torch.nan_to_num(getattr(whole, name), 9e9))


def test_a_rank_opens_only_the_row_groups_of_its_rows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = pq.ParquetFile.iter_batches

    def spy(self: pq.ParquetFile, *args: object, **options: object) -> object:
        read.extend(self.metadata.row_group(group).num_rows for group in options["row_groups"])  # type: ignore[attr-defined]
        return original(self, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    list(Examples(run.examples, "train").batches(["distance"], range(100, 800)))
    assert read == [700, 700]


def test_values_become_floats_with_gaps_and_slots_with_zero_for_what_is_unknown(tmp_path: Path) -> None:
    # Given rows with a null, a rare and a missing category
    (tmp_path / "split=test").mkdir()
    table = pa.table(
        {"size": pa.array([1.5, None, 3.0]), "colour": ["blue", "mauve", None], "label": [1.0, 0.0, 1.0]}
    )
    pq.write_table(table, tmp_path / "split=test" / "a.parquet")
    encoding = Encoding(
        numbers=(Number(name="size", median=1, mean=1, std=1, gaps=True),),
        categories=(Category(name="colour", values=("red", "blue")),),
    )
    # When they are read
    rows = read_rows(Examples(tmp_path, "test"), encoding, range(3))
    # Then
    np.testing.assert_array_equal(rows.numbers.numpy(), [[1.5], [np.nan], [3.0]])
    assert rows.categories.tolist() == [[2], [0], [0]]
    assert rows.labels.tolist() == [1, 0, 1]


def test_a_missing_column_is_named(run: Run) -> None:
    encoding = Encoding(numbers=(Number(name="height", median=0, mean=0, std=1, gaps=False),), categories=())
    with pytest.raises(DataError, match="height"):
        read_rows(Examples(run.examples, "test"), encoding, range(2))


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no Parquet file"):
        Examples(tmp_path, "train")


def test_reports_give_the_encoding(run: Run) -> None:
    encoding = read_encoding(run.reports)
    assert encoding.category_names == ("depot", "region")
    assert sorted(encoding.categories[0].values) == ["east", "north", "south", "west"]
    weight = encoding.numbers[encoding.number_names.index("weight")]
    express = encoding.numbers[encoding.number_names.index("express")]
    assert weight.gaps
    assert not express.gaps
    assert express.knots == (0.0, 1.0), "equal quantiles are one knot"
    assert 0.2 < read_prior(run.reports) < 0.6


def test_reports_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"features\.json is missing"):
        read_encoding(tmp_path)


def test_batches_give_every_row_once_in_the_order_asked_for() -> None:
    rows = Rows(torch.arange(14.0).reshape(7, 2), torch.arange(7).reshape(7, 1), torch.arange(7.0))
    order = torch.tensor([6, 2, 0, 1, 5, 3, 4])
    batches = Batches(rows, order, 3)
    given = list(batches)
    assert [len(batch) for batch in given] == [3, 3, 1]
    assert torch.equal(torch.cat([batch.categories for batch in given]).squeeze(1), order)
    assert torch.equal(torch.cat([batch.numbers for batch in given]), rows.numbers[order])
    assert batches.waited > 0
