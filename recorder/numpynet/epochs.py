"""One pass over the batches of a training or an evaluation, with the events around each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from .batches import Data
from .callbacks import CallbackList, Logs
from .metrics import Averages
from .step import StepResult


def run_epoch(
    purpose: Literal["train", "test"],
    batches: Iterable[Data],
    step: Callable[[Data], StepResult],
    metrics: Sequence[str],
    events: CallbackList,
    is_stopped: Callable[[], bool] = lambda: False,
    end_step: Callable[[Logs], None] = lambda logs: None,
) -> dict[str, float]:
    """Means of loss and metrics over the batches, up to the one after which it is stopped."""
    averages = Averages(metrics)
    for i, batch in enumerate(batches):
        events.call(f"on_{purpose}_batch_begin", i)
        result = step(batch)
        averages.add(result.loss, batch.y, result.output)
        end_step(averages.logs)
        events.call(f"on_{purpose}_batch_end", i, averages.logs)
        if is_stopped():
            break
    return averages.logs
