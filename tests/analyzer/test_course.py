"""How the loss goes from epoch to epoch."""

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Symptom

from .networks import badly, network, seen, with_epochs


def test_a_loss_that_falls_steadily_does_not_oscillate() -> None:
    steady = with_epochs(badly(network()), loss=[2.0 / (1 + i) for i in range(12)])
    assert seen(diagnose(steady.reader()), Symptom.LOSS_OSCILLATING) is None
