"""Where epochs begin and end, and what they come to."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import every
from deeplocalize.traces import open_trace
from deeplocalize.traces.schema import Kind

from .fits import build, fit
from .models import CASES


def test_epochs_and_validation_metrics_are_noted(tmp_path: Path) -> None:
    model = build()
    case = CASES["mlp"]
    history = fit(
        model,
        Recorder(tmp_path / "run.h5"),
        epochs=2,
        validation_data=(case.x, case.labels),
        validation_batch_size=50,
    )
    with open_trace(tmp_path / "run.h5") as trace:
        logs = [e.details["logs"] for e in trace.reader.events() if e.name == "epoch"]
        assert [log["val_loss"] for log in logs] == history.history["val_loss"]
        iterations = trace.iterations
    assert list(iterations["epoch"]) == [0] * 10 + [1] * 10
    assert list(iterations["batch"]) == [*range(10)] * 2


def test_epochs_end_where_a_data_set_of_unknown_length_does(tmp_path: Path) -> None:
    case = CASES["mlp"]

    def batches() -> Any:
        for first in range(0, 100, 20):
            yield case.x[first : first + 20], case.labels[first : first + 20]

    signature = (tf.TensorSpec((None, 16)), tf.TensorSpec((None,), tf.int32))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    model, plain = build(), build()
    model.fit(data, epochs=3, verbose=0, callbacks=[Recorder(tmp_path / "run.h5")])
    plain.fit(data, epochs=3, verbose=0)
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 15
        assert trace.ended == {"status": "completed"}


def test_data_is_summed_up_until_as_many_steps_were_recorded_as_an_epoch_has(
    tmp_path: Path,
) -> None:
    for n_epochs, n_samples in ((1, 20), (3, 60), (8, 100)):
        path = tmp_path / f"{n_epochs}.h5"
        fit(build(), Recorder(path, schedule=every(5)), epochs=n_epochs)
        with open_trace(path) as trace:
            summaries = {one.role: one.n_samples for one in trace.header.data}
        assert summaries == {Kind.INPUT: n_samples, Kind.LABEL: n_samples}
