"""The header: first to be written, and the last one counts."""

from pathlib import Path

import numpy as np
import pytest

from deeplocalize.traces import (
    DataSummary,
    Event,
    FeatureSummary,
    Kind,
    Series,
    Tensor,
    create_writer,
    open_reader,
)

from ..build import (
    assert_same,
    block,
    header,
)


def test_the_header_comes_first(path: Path) -> None:
    writer = create_writer(path)
    with pytest.raises(ValueError, match="header"):
        writer.append(block(0))
    with pytest.raises(ValueError, match="header"):
        writer.append_events([Event("note")])
    with pytest.raises(ValueError, match="header"):
        writer.append_tensors([Tensor(0, 0, np.zeros(1))])
    writer.close()


def test_the_last_header_counts(path: Path) -> None:
    writer = create_writer(path)
    for name in ("first", "second"):
        writer.write_header(header(model_name=name))
    writer.close()
    assert open_reader(path).header.model_name == "second"


def test_a_header_without_series_is_enough(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(0))
    writer.append(block(0, n_series=0))
    writer.close()
    assert_same(open_reader(path).read(), block(0, n_series=0))


def test_what_the_data_looked_like_comes_back(path: Path) -> None:
    features = FeatureSummary(3, 40, 1, (2,), 0.5, 1, 0.6, 1.1)
    told = DataSummary(Kind.INPUT, "x", (None, 3), "float32", 40, features=features)
    untold = DataSummary(Kind.LABEL, "y", (None,), "int64", class_counts={"0": 40})
    writer = create_writer(path)
    writer.write_header(header(data=(told, untold)))
    writer.close()
    assert open_reader(path).header.data == (told, untold)


def test_names_of_any_script_survive(path: Path) -> None:
    wanted = header(model_name="Ünïcødé 模型 🙂\n", optimizer={"имя": "Адам"})
    writer = create_writer(path)
    writer.write_header(wanted)
    writer.append_events([Event("note", "Zażółć gęślą\u2028jaźń")])
    writer.close()
    reader = open_reader(path)
    assert reader.header == wanted
    assert reader.events()[0].message == "Zażółć gęślą\u2028jaźń"


def test_a_replayed_series_stays_one(path: Path) -> None:
    check = Series(Kind.REPLAY_ERROR, 1, shape=(None,), dtype="int64", replayed=True)
    writer = create_writer(path)
    writer.write_header(header(1).with_series((check,)))
    writer.append(block(n_series=2))
    writer.close()
    reader = open_reader(path)
    assert reader.header.series[1] == check
    assert_same(reader.read(), block(n_series=2))
    reader.close()
