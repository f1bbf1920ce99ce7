"""Histograms."""

from pathlib import Path

import pytest

from deeplocalize.traces import (
    Histogram,
    TraceFormatError,
    create_writer,
    open_reader,
)

from ..build import (
    header,
)


def test_histograms_come_back_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplocalize.traces.hdf5_reader._PIECE_BYTES", 50)
    wanted = [Histogram(i, i % 3, -7, (0, i), (5, 2**40), 1, 2, 3, 4) for i in range(9)]
    wanted.append(Histogram(9, 0))
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_histograms(wanted[:4])
    writer.append_histograms([])
    writer.append_histograms(wanted[4:])
    writer.close()
    assert list(open_reader(path).histograms()) == wanted


def test_histograms_of_different_bins_are_refused(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    with pytest.raises(ValueError, match="2 and 1 bins"):
        writer.append_histograms([Histogram(0, 0, 0, (1, 2), (3,))])
    writer.close()


def test_histograms_of_a_series_that_is_missing_are_refused(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(3))
    writer.append_histograms([Histogram(0, 3)])
    writer.close()
    with pytest.raises(TraceFormatError, match="series 3"):
        list(open_reader(path).histograms())
