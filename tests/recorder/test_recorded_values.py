"""What stands in the trace equals a separate eager computation of the same step."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.recorder import Recorder
from deeplocalize.traces import Kind, Trace, open_trace
from deeplocalize.traces.statistics import statistics_row

from .eager import BATCH, FORWARD, Reference, build, probe, summed_rows
from .models import CASES, LABELS

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "several_steps": {"steps_per_execution": 2},
    "xla": {"jit_compile": True},
    "xla_replayed": {"jit_compile": True, "exact": True},
}


def assert_close(found: Any, expected: Any, what: object = "") -> None:
    """Equal but for the order of summation, which differs between compiled and eager kernels."""
    np.testing.assert_allclose(
        np.asarray(found), np.asarray(expected), rtol=2e-5, atol=2e-6, err_msg=str(what)
    )


def record(name: str, path: Path, exact: bool = False, **mode: Any) -> Any:
    """Train two batches in order, every tensor stored in full."""
    case = CASES[name]
    model = build(case, **mode)
    recorder = Recorder(path, tensors=lambda iteration: True, exact=exact)
    n = 2 * BATCH
    model.fit(
        case.x[:n],
        keras.tree.map_structure(lambda y: y[:n], case.labels),
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[recorder],
    )
    return model


def tensors_of(
    trace: Trace, kind: Kind, iteration: int
) -> dict[tuple[str, str, int], NDArray[Any]]:
    """Full tensors of a kind by (layer path, tensor name, call), in the order of execution."""
    found = {}
    series_of = trace.header.series
    entries = trace.reader.tensor_entries()
    for entry in sorted(entries, key=lambda entry: series_of[entry.series].position):
        series = series_of[entry.series]
        if series.kind is kind and entry.iteration == iteration:
            layer = trace.header.layer_of(series)
            key = (layer.path if layer else "", series.tensor, series.call)
            found[key] = trace.reader.read_tensor(entry)
    return found


@pytest.mark.parametrize("mode", sorted(MODES.keys() - {"xla"}))
@pytest.mark.parametrize("name", FORWARD)
def test_recorded_tensors_equal_an_eager_computation(name: str, mode: str, tmp_path: Path) -> None:
    record(name, tmp_path / "run.h5", **MODES[mode])
    reference = Reference(CASES[name], FORWARD[name])
    with open_trace(tmp_path / "run.h5") as trace:
        outputs = tensors_of(trace, Kind.OUTPUT, 0)
        gradients = tensors_of(trace, Kind.OUTPUT_GRADIENT, 0)
        weight_gradients = tensors_of(trace, Kind.WEIGHT_GRADIENT, 0)
        weights = tensors_of(trace, Kind.WEIGHT, 0)
        updates = tensors_of(trace, Kind.WEIGHT_UPDATE, 0)
        loss = trace.tensor(0, kind="loss")
    assert_close(loss, reference.loss)

    # Automatic names count up from model to model; the order of execution is the same.
    assert len(outputs) == len(reference.outputs)
    for (_, value), gradient, (key, found) in zip(
        reference.outputs, reference.output_gradients, outputs.items(), strict=True
    ):
        assert_close(found, value, key)
        if key in gradients:
            assert_close(gradients[key], gradient, key)
    assert gradients.keys() <= outputs.keys()
    assert len(gradients) >= len(outputs) - 1  # softmax has none: Keras derives by its input

    trainable = reference.model.trainable_variables
    keys = [key for key in weights if key in updates]
    assert len(keys) == len(weight_gradients) == len(trainable)
    for key, before, gradient in zip(
        keys, reference.before, map(tf.convert_to_tensor, reference.gradients), strict=True
    ):
        np.testing.assert_array_equal(weights[key], before)
        found = weight_gradients[key]
        if "embedding" in key[0]:
            found = summed_rows(found, CASES[name].x[:BATCH], gradient.shape)
        assert_close(found, gradient, key)
        np.testing.assert_allclose(updates[key], -0.5 * gradient, rtol=1e-3, atol=2e-6)


def test_replayed_preactivations_equal_an_eager_computation(tmp_path: Path) -> None:
    record("smooth_activations", tmp_path / "run.h5", exact=True)
    model = build(CASES["smooth_activations"])
    x = tf.constant(CASES["smooth_activations"].x[:BATCH])
    with open_trace(tmp_path / "run.h5") as trace:
        found = tensors_of(trace, Kind.PREACTIVATION, 0)
        assert any(series.replayed for series in trace.header.series)
    assert len(found) == 8
    for layer, value in zip(model.layers, found.values(), strict=False):
        preactivation = x @ layer.kernel.value + layer.bias.value
        assert_close(value, preactivation, layer.name)
        x = layer.activation(preactivation)


def test_replayed_normalizations_equal_an_eager_computation(tmp_path: Path) -> None:
    record("residual", tmp_path / "run.h5", exact=True)
    model = build(CASES["residual"])
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    eager = keras.Model(model.input, [layer.output for layer in layers])
    expected = eager(CASES["residual"].x[:BATCH], training=True)
    with open_trace(tmp_path / "run.h5") as trace:
        found = tensors_of(trace, Kind.OUTPUT, 0)
        replayed = [s for s in trace.header.series if s.replayed and s.kind is Kind.OUTPUT]
    assert len(replayed) >= 2
    for (key, value), layer, wanted in zip(found.items(), layers, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-4, atol=2e-5, err_msg=f"{key} {layer}")


@pytest.mark.parametrize(
    "name",
    ["plain_normalization", "plain_attention", "activation_layers", "bidirectional", "two_outputs"],
)
def test_every_top_level_layer_equals_a_separate_forward_and_backward_pass(
    name: str, tmp_path: Path
) -> None:
    record(name, tmp_path / "run.h5")
    expected = probe(CASES[name])
    n_compared = dict.fromkeys((Kind.OUTPUT, Kind.OUTPUT_GRADIENT), 0)
    with open_trace(tmp_path / "run.h5") as trace:
        header = trace.header
        assert_close(trace.iterations["loss"][0], expected.loss)
        for entry in trace.reader.tensor_entries():
            series = header.series[entry.series]
            layer = header.layer_of(series)
            if entry.iteration or layer is None or "/" in layer.path or series.call:
                continue
            separate = {Kind.OUTPUT: expected.outputs, Kind.OUTPUT_GRADIENT: expected.gradients}
            if series.kind in separate:
                value = separate[series.kind][layer.index]
                assert_close(trace.reader.read_tensor(entry), value, (layer.path, series.kind))
                n_compared[series.kind] += 1
        weights = tensors_of(trace, Kind.WEIGHT, 0)
        weight_gradients = tensors_of(trace, Kind.WEIGHT_GRADIENT, 0)
        missing = {one.layer for one in header.unrecorded if one.kind is Kind.OUTPUT}
        without_gradient = {
            header.layers[one.layer].path
            for one in header.unrecorded
            if one.kind is Kind.WEIGHT_GRADIENT and one.layer is not None
        }
    # What is not compared is what the trace says is missing, and what passes its input on.
    assert n_compared[Kind.OUTPUT] >= len(expected.outputs) - len(missing) - expected.n_idle
    assert n_compared[Kind.OUTPUT_GRADIENT] > 0
    for key, gradient in zip(weights, expected.weight_gradients, strict=True):
        if key not in weight_gradients:
            assert key[0] in without_gradient
            continue
        found = weight_gradients[key]
        whole = tf.convert_to_tensor(gradient)
        if isinstance(gradient, tf.IndexedSlices):
            found = summed_rows(found, CASES[name].x[:BATCH], whole.shape)
        assert_close(found, whole, key)


def test_dropout_is_recorded_with_the_mask_that_was_drawn(tmp_path: Path) -> None:
    record("batch_normalization", tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        outputs = tensors_of(trace, Kind.OUTPUT, 0)
        gradients = tensors_of(trace, Kind.OUTPUT_GRADIENT, 0)
    before, after = (next(v for k, v in outputs.items() if n in k[0]) for n in ("re_lu", "dropout"))
    by_before, by_after = (
        next(v for k, v in gradients.items() if n in k[0]) for n in ("re_lu", "dropout")
    )
    kept = after != 0
    assert 0.1 < kept[before != 0].mean() < 0.9
    np.testing.assert_array_equal(after, np.where(kept, 2 * before, 0))
    drawn = before != 0  # elsewhere the mask cannot be told from outside
    np.testing.assert_array_equal(by_before[drawn], np.where(kept, 2 * by_after, 0)[drawn])


@pytest.mark.parametrize(("mode", "n"), [("eager", 8), ("graph", 1)])
def test_a_preactivation_is_what_the_activation_makes_the_output_of(
    mode: str, n: int, tmp_path: Path
) -> None:
    """All of them when eager; in a graph, those that TensorFlow does not fuse."""
    model = record("smooth_activations", tmp_path / "run.h5", **MODES[mode])
    with open_trace(tmp_path / "run.h5") as trace:
        preactivations = tensors_of(trace, Kind.PREACTIVATION, 0)
        outputs = tensors_of(trace, Kind.OUTPUT, 0)
        weights = tensors_of(trace, Kind.WEIGHT, 0)
        missing = [u.layer for u in trace.header.unrecorded if u.kind is Kind.PREACTIVATION]
    assert len(preactivations) >= n
    assert len(preactivations) + len(missing) == 8
    inputs = CASES["smooth_activations"].x[:BATCH]
    for layer in model.layers:
        if (layer.name, "", 0) in preactivations:
            found = preactivations[layer.name, "", 0]
            kernel, bias = (weights[layer.name, w, 0] for w in ("kernel", "bias"))
            assert_close(found, inputs @ kernel + bias, layer.name)
            assert_close(outputs[layer.name, "", 0], layer.activation(tf.constant(found)))
        inputs = outputs[layer.name, "", 0]


@pytest.mark.parametrize("name", ["mlp", "batch_normalization", "attention"])
def test_the_update_is_the_difference_of_successive_weights(name: str, tmp_path: Path) -> None:
    model = record(name, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        first, second = (tensors_of(trace, Kind.WEIGHT, i) for i in range(2))
        updates = [tensors_of(trace, Kind.WEIGHT_UPDATE, i) for i in range(2)]
    for key in first:
        np.testing.assert_array_equal(second[key] - first[key], updates[0][key])
    final = [v.numpy() for v in model.trainable_variables]
    for key, value in zip(second, final, strict=True):
        np.testing.assert_array_equal(value - second[key], updates[1][key])


def test_state_is_recorded_as_the_step_leaves_it(tmp_path: Path) -> None:
    model = record("batch_normalization", tmp_path / "run.h5")
    norm = model.layers[1]
    with open_trace(tmp_path / "run.h5") as trace:
        for name in ("moving_mean", "moving_variance"):
            recorded = trace.tensor(1, layer=norm.name, kind="state", tensor=name)
            np.testing.assert_array_equal(recorded, getattr(norm, name))


@pytest.mark.parametrize("mode", MODES)
def test_statistics_are_those_of_the_recorded_tensors(mode: str, tmp_path: Path) -> None:
    record("batch_normalization", tmp_path / "run.h5", **MODES[mode])
    with open_trace(tmp_path / "run.h5") as trace:
        block = trace.reader.read()
        entries = trace.reader.tensor_entries()
        assert len(entries) == 2 * len(trace.header.series)
        for entry in entries:
            kind = trace.header.series[entry.series].kind
            has_units = kind in (Kind.OUTPUT, Kind.PREACTIVATION)
            row = statistics_row(trace.reader.read_tensor(entry), has_units)
            scale = row["mean_abs"] if row["mean_abs"] == row["mean_abs"] else 0.0
            for column, expected in row.items():
                found = block.statistics[column][entry.iteration, entry.series]
                np.testing.assert_allclose(
                    found, expected, rtol=1e-5, atol=2e-6 * scale, err_msg=column
                )


@pytest.mark.parametrize("mode", MODES)
def test_the_loss_is_that_of_the_batch_not_the_running_mean(mode: str, tmp_path: Path) -> None:
    record("mlp", tmp_path / "run.h5", **MODES[mode])
    with open_trace(tmp_path / "run.h5") as trace:
        iterations = trace.iterations
    losses = iterations["loss"].to_numpy()
    running = iterations["metric_loss"].to_numpy()
    assert losses[0] != losses[1]
    np.testing.assert_allclose(running[1], losses.mean(), rtol=1e-5)
    assert list(iterations["n_samples"]) == [BATCH, BATCH]
    assert list(iterations["learning_rate"]) == [0.5, 0.5]


def test_the_batch_is_recorded_as_it_was_trained(tmp_path: Path) -> None:
    record("mlp", tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        np.testing.assert_array_equal(
            trace.tensor(1, kind="input"), CASES["mlp"].x[BATCH : 2 * BATCH]
        )
        np.testing.assert_array_equal(trace.tensor(1, kind="label"), LABELS[BATCH : 2 * BATCH])
