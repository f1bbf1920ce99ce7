"""Which traces are read: by content, of this version and all before."""

from pathlib import Path

import pytest

from deeplocalize.traces import (
    FORMAT_VERSION,
    TraceVersionError,
    open_reader,
)

from ..build import (
    assert_same,
    block,
    with_version,
    write_trace,
)


def test_a_file_of_the_other_name_is_told_by_its_content(path: Path) -> None:
    write_trace(path)
    renamed = path.rename(path.with_name("trace.bin"))
    assert open_reader(renamed).n_iterations == 12


def test_every_earlier_version_is_read(path: Path) -> None:
    for version in range(1, FORMAT_VERSION):
        with_version(path, version)
        reader = open_reader(path)
        assert_same(reader.read(0, 4), block())
        assert not any(series.replayed for series in reader.header.series)
        reader.close()


def test_a_newer_version_is_refused_with_the_way_out(path: Path) -> None:
    with_version(path, FORMAT_VERSION + 1)
    with pytest.raises(TraceVersionError, match="upgrade deeplocalize"):
        open_reader(path)
