"""Inputs that a network cannot learn from."""

from dataclasses import replace

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Symptom
from deeplocalize.traces.schema import Kind

from .networks import badly, inputs, seen, well, with_inputs
from .runs import LAYERS


def test_features_behind_a_layer_that_normalises_may_have_any_scale() -> None:
    header = with_inputs(largest_rms=1e6)
    first = replace(LAYERS[0], class_name="BatchNormalization", activation=None)
    last = replace(header.layers[2], inbound=("mid",))
    header = replace(header, layers=(first, header.layers[1], last))
    assert seen(diagnose(badly(header).reader()), Symptom.FEATURE_SCALES) is None


def test_of_several_inputs_the_one_in_question_is_named() -> None:
    header = with_inputs(n_constant=0)
    given = next(series for series in header.series if series.kind is Kind.INPUT)
    other = replace(given, tensor="other", position=60)
    summary = replace(inputs(n_constant=2, constant=(0, 1)), name="other")
    header = replace(header, series=(*header.series, other), data=(*header.data, summary))
    (constant,) = diagnose(well(header).reader()).notes
    assert constant.place.tensor == "other"
