from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import MAX_SUSPECTS, Cause, Suspect
from deeplocalize.analyzer.causes.cause import fact_of
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.optimizer import OptimizerFacts
from deeplocalize.analyzer.rules import Symptom
from deeplocalize.traces.header import DataSummary, Header
from deeplocalize.traces.schema import Kind

from .networks import badly, network, seen
from .runs import HEADER, LABELS, LAYERS, FakeRun
from .test_localization import SCENARIOS, exploding

BYTES = DataSummary(Kind.INPUT, "x", (None, 4), "float32", 640, 0.0, 255.0, 33.0, 78.0, 0, True)


def suspects_of(run: FakeRun) -> tuple[Suspect, ...]:
    return diagnose(run.reader()).suspects


def test_every_suspect_has_evidence_and_a_fix_and_there_are_few_of_them() -> None:
    for scenario in SCENARIOS.values():
        suspects = suspects_of(scenario.make())
        assert 1 <= len(suspects) <= MAX_SUSPECTS
        assert all(suspect.evidence and suspect.fix for suspect in suspects)
        assert all(0 < suspect.confidence <= 1 for suspect in suspects)


def test_suspects_are_ranked_and_name_each_cause_in_a_place_once() -> None:
    for scenario in SCENARIOS.values():
        suspects = suspects_of(scenario.make())
        confidences = [suspect.confidence for suspect in suspects]
        assert confidences == sorted(confidences, reverse=True)
        assert len({(s.cause, s.target, s.layer) for s in suspects}) == len(suspects)


def test_growing_weights_under_large_inputs_suggest_scaling_them_too() -> None:
    run = FakeRun(header=replace(HEADER, data=(LABELS, BYTES)))
    run.put(slice(None), Kind.INPUT, tensor="x", mean=33.0, rms=85.0)
    exploding(run, 31).put(31, Kind.OUTPUT, "fc1", n_posinf=3).breaks(31, Kind.OUTPUT, "fc1")
    causes = {suspect.cause for suspect in suspects_of(run)[:2]}
    assert causes == {Cause.LEARNING_RATE, Cause.INPUT_SCALE}


def test_token_inputs_have_no_scale() -> None:
    layers = (replace(LAYERS[0], class_name="Embedding"), *LAYERS[1:])
    run = FakeRun(header=replace(HEADER, layers=layers, data=(LABELS, BYTES)))
    exploding(run, 31).put(31, Kind.OUTPUT, "fc1", n_posinf=3).breaks(31, Kind.OUTPUT, "fc1")
    assert Cause.INPUT_SCALE not in [suspect.cause for suspect in suspects_of(run)]


def test_the_fix_of_a_learning_rate_names_the_optimizer_and_a_smaller_one() -> None:
    suspect = suspects_of(SCENARIOS["a learning rate that makes weights overflow"].make())[0]
    assert "keras.optimizers.Adam(learning_rate=1e-05" in suspect.fix


def test_a_dead_output_layer_is_a_matter_of_its_output_activation() -> None:
    layers = (*LAYERS[:2], replace(LAYERS[2], activation="relu"))
    run = FakeRun(header=replace(HEADER, layers=layers)).zero(slice(None), Kind.OUTPUT, "fc2")
    run.header = replace(run.header, loss="my_own_loss")
    assert suspects_of(run)[0].cause is Cause.OUTPUT_ACTIVATION


def test_a_dead_output_under_a_crossentropy_does_not_fit_the_loss() -> None:
    layers = (*LAYERS[:2], replace(LAYERS[2], activation="relu"))
    run = FakeRun(header=replace(HEADER, layers=layers)).zero(slice(None), Kind.OUTPUT, "fc2")
    run.put(slice(None), Kind.OUTPUT, "fc2", min=0.0, max=0.0)
    assert suspects_of(run)[0].cause is Cause.ACTIVATION_LOSS_MISMATCH


def test_a_run_that_does_not_learn_for_no_visible_reason_gets_no_verdict() -> None:
    run = FakeRun(400)
    run.iterations["loss"] = 1.1 + 0.1 * np.random.default_rng(2).standard_normal(400)
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.34)
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert "the targets may not follow from the inputs" in diagnosis.needs
    assert {note.symptom for note in diagnosis.notes} == {Symptom.ACCURACY_NOT_CHANGING}


def test_a_run_that_does_not_learn_with_lost_updates_has_too_small_a_learning_rate() -> None:
    run = FakeRun(400)
    run.iterations["loss"] = 1.1 + 0.1 * np.random.default_rng(2).standard_normal(400)
    run.statistics["rms"][:, run.index(Kind.WEIGHT_UPDATE, "fc2", "kernel")] = 1e-9
    suspect = suspects_of(run)[0]
    assert suspect.cause is Cause.LEARNING_RATE
    assert "learning_rate=0.03" in suspect.fix


def killed_at(iteration: int, run: FakeRun) -> FakeRun:
    """Units that live until an iteration, and weights thrown about before it."""
    run.put(slice(max(iteration - 5, 0), iteration), Kind.WEIGHT_UPDATE, "fc1", "kernel", rms=0.9)
    return run.zero(slice(iteration, None), Kind.OUTPUT, "fc1")


def test_units_that_died_of_a_large_step_are_a_matter_of_the_learning_rate() -> None:
    assert suspects_of(killed_at(20, FakeRun()))[0].cause is Cause.LEARNING_RATE


def test_units_that_never_lived_were_made_so_before_the_first_step() -> None:
    suspects = suspects_of(killed_at(0, FakeRun()))
    assert [s.cause for s in suspects] == [Cause.WEIGHT_INITIALIZATION, Cause.HIDDEN_ACTIVATION]


def test_units_that_never_lived_in_a_run_that_goes_on_are_a_matter_of_their_activation() -> None:
    run = FakeRun(header=replace(HEADER, n_updates_before=500))
    assert suspects_of(killed_at(0, run))[0].cause is Cause.HIDDEN_ACTIVATION


def test_a_frozen_layer_whose_weights_are_all_0_is_what_leaves_the_rest_dead() -> None:
    layers = (replace(LAYERS[0], class_name="Embedding", activation=None), *LAYERS[1:])
    frozen = tuple(s for s in HEADER.series if s.kind is not Kind.WEIGHT_UPDATE or s.layer != 0)
    run = FakeRun(header=replace(HEADER, layers=layers, series=frozen))
    for kind, tensor in ((Kind.WEIGHT, "kernel"), (Kind.WEIGHT, "bias"), (Kind.OUTPUT, "")):
        run.zero(slice(None), kind, "fc1", tensor)
    first = suspects_of(run)[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.WEIGHT_INITIALIZATION, "fc1")
    assert "set_weights" in first.fix


def test_no_sentence_is_told_twice() -> None:
    for scenario in SCENARIOS.values():
        told = [
            sentence for suspect in suspects_of(scenario.make()) for sentence in suspect.evidence
        ]
        alone = [suspect.evidence[0] for suspect in suspects_of(scenario.make())]
        repeated = {sentence for sentence in told if told.count(sentence) > 1}
        assert repeated <= set(alone)  # a suspect keeps what it rests on


def test_a_fact_is_told_once_in_whatever_words() -> None:
    for scenario in SCENARIOS.values():
        facts = [fact_of(s) for suspect in suspects_of(scenario.make()) for s in suspect.evidence]
        alone = {fact_of(suspect.evidence[0]) for suspect in suspects_of(scenario.make())}
        assert {fact for fact in facts if facts.count(fact) > 1} <= alone


def test_a_healthy_run_has_no_suspects() -> None:
    assert suspects_of(FakeRun()) == ()


@pytest.mark.parametrize(
    ("name", "rate", "factor", "advised"),
    [
        ("Adam", 1e-3, 0.01, "1e-05"),
        ("RMSprop", 5e-4, 0.01, "1e-05"),
        ("SGD", 0.1, 100, "0.5"),
        ("Adam", 1e-6, 0.1, "1e-07"),
        ("SGD", 1e6, 0.01, "0.0071"),
        ("Adam", 1e-12, 10, "0.00055"),
    ],
)
def test_a_learning_rate_is_advised_that_trainings_usually_have(
    name: str, rate: float, factor: float, advised: str
) -> None:
    code = OptimizerFacts(name, rate).with_rate(factor)
    assert code == f"keras.optimizers.{name}(learning_rate={advised}"


def _constant_at_last(header: Header) -> FakeRun:
    return badly(header).put(slice(None), Kind.OUTPUT, "fc2", n_constant_units=3)


def test_an_activation_that_fits_is_not_advised_where_the_output_is_constant() -> None:
    fitting = diagnose(_constant_at_last(network("softmax")).reader())
    assert seen(fitting, Symptom.CONSTANT_OUTPUT)
    assert Cause.OUTPUT_ACTIVATION not in [suspect.cause for suspect in fitting.suspects]
    logits = {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}
    other = diagnose(_constant_at_last(network("relu", loss=logits)).reader())
    (suspect,) = (s for s in other.suspects if s.cause is Cause.OUTPUT_ACTIVATION)
    assert suspect.fix == 'Dense(3, activation="linear")'


def test_a_softmax_over_one_unit_is_not_advised() -> None:
    run = badly(network("softmax", units=1, loss="sparse_categorical_crossentropy"))
    fixes = [
        s.fix for s in diagnose(run.reader()).suspects if Symptom.CONSTANT_OUTPUT in s.symptoms
    ]
    assert fixes == ['Dense(n_classes, activation="softmax")']
