"""What each cause's fix changes: from a suspect to the setups that try it.

A fix is data: one line for a person, and a `Setup` to train instead of the recorded one. A suspect
may have two forms of its fix (a learning rate ten and a hundred times smaller), of which the
better one counts.
"""

from collections.abc import Callable, Iterable

from ..causes import Cause, Suspect
from ..program import Program
from . import layer_fixes, output_fixes, training_fixes
from .obstacle import ObstacleError
from .recipe import Setup
from .situation import Fix, Situation

FIXES: dict[Cause, Callable[[Situation], Iterable[Fix]]] = {
    Cause.OUTPUT_ACTIVATION: output_fixes.output_activation,
    Cause.ACTIVATION_LOSS_MISMATCH: output_fixes.output_activation,
    Cause.LOSS_FUNCTION: output_fixes.loss_function,
    Cause.HIDDEN_ACTIVATION: layer_fixes.hidden_activation,
    Cause.WEIGHT_INITIALIZATION: layer_fixes.weight_initialization,
    Cause.OUTPUT_SHAPE: layer_fixes.output_shape,
    Cause.MISSING_LAYER: layer_fixes.missing_layer,
    Cause.EXTRA_LAYER: layer_fixes.extra_layer,
    Cause.LEARNING_RATE: training_fixes.learning_rate,
    Cause.OPTIMIZER: training_fixes.optimizer,
    Cause.EPOCHS_OR_BATCH_SIZE: training_fixes.longer,
    Cause.NUMERICAL_INSTABILITY: output_fixes.stable_loss,
    Cause.INPUT_SCALE: training_fixes.input_scale,
    Cause.INPUT_VALUES: training_fixes.input_values,
    Cause.LABEL_ENCODING: training_fixes.label_encoding,
}


def fixes_of(suspect: Suspect, setup: Setup, program: Program) -> tuple[Fix, ...]:
    """The forms of a suspect's fix, at least one.

    Raises
    ------
    ObstacleError
        There is no change that a replay could make.
    """
    make = FIXES.get(suspect.cause)
    if make is None:
        raise ObstacleError("it names nothing that a replay could change")
    found = tuple(fix for fix in make(Situation(suspect, setup, program)) if fix.setup != setup)
    if not found:
        raise ObstacleError("its fix would change nothing in this training")
    return found
