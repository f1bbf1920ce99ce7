"""Events and their details."""

from pathlib import Path

import numpy as np

from deeplocalize.traces import (
    Event,
    create_writer,
    open_reader,
)

from ..build import (
    header,
)


def test_events_come_back_in_order_with_their_details(path: Path) -> None:
    events = [
        Event("begin", "", -1, 0.0, {}),
        Event("anomaly", "NaN in fc", 3, 0.25, {"layers": ["fc"], "values": [1.5, None, {"a": 1}]}),
        Event("end", "done", 4, 1e9, {"reason": "completed"}),
    ]
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_events(events[:1])
    writer.append_events(events[1:])
    writer.close()
    assert list(open_reader(path).events()) == events


def test_details_take_numpy_values_and_objects_as_plain_json(path: Path) -> None:
    details = {"loss": np.float32(1.5), "shape": np.array([2, 3]), "error": ValueError("k")}
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_events([Event("note", details=details)])
    writer.close()
    found = open_reader(path).events()[0].details
    assert found == {"loss": 1.5, "shape": [2, 3], "error": "k"}
