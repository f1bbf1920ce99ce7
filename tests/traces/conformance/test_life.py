"""From the first flush to the last close."""

from pathlib import Path

import numpy as np
import pytest

from deeplocalize.traces import (
    Event,
    Tensor,
    create_writer,
    open_reader,
)

from ..build import (
    assert_same,
    block,
    header,
    write_trace,
)


def test_nothing_appears_under_the_name_before_the_first_header(path: Path) -> None:
    writer = create_writer(path)
    writer.flush()
    assert not path.exists()
    writer.close()
    assert list(path.parent.iterdir()) == []


def test_another_reader_sees_what_was_flushed(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    reader = open_reader(path)
    assert reader.n_iterations == 0
    writer.append(block(0))
    writer.append_events([Event("note", "one")])
    writer.append_tensors([Tensor(0, 1, np.arange(3))])
    writer.flush()
    assert open_reader(path).n_iterations == 4
    assert reader.n_iterations == 0
    reader.refresh()
    assert_same(reader.read(), block(0))
    assert [event.message for event in reader.events()] == ["one"]
    assert [entry.series for entry in reader.tensor_entries()] == [1]
    writer.close()


def test_closing_twice_is_the_same_as_once(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.close()
    writer.close()
    reader = open_reader(path)
    reader.close()
    reader.close()


def test_a_closed_trace_is_used_no_more(path: Path) -> None:
    write_trace(path)
    reader = open_reader(path)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read()
    with pytest.raises(ValueError, match="closed"):
        reader.refresh()


def test_a_closed_writer_is_used_no_more(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append(block(0))
