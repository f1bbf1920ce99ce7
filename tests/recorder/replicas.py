"""Train on two replicas and on one, with and without a recorder, and without replicas.

A program, for devices are set up once per process: ``python replicas.py DIRECTORY`` writes a trace
per training and ``report.json``.
"""

import json
import sys
from pathlib import Path
from typing import Any

TRAININGS = ("mlp", "batch_normalization")


def main(directory: Path) -> None:
    import keras
    import tensorflow as tf

    from deeplocalize.recorder import Recorder
    from tests.recorder.fits import assert_untouched
    from tests.recorder.models import CASES

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    single = tf.distribute.MirroredStrategy(["CPU:0"])
    alone = tf.distribute.get_strategy()

    def fit(name: str, strategy: Any, *callbacks: Any) -> Any:
        """All that a training leaves behind, as bytes."""
        case = CASES[name]
        keras.utils.set_random_seed(7)
        with strategy.scope():
            model = case.build()
            model.compile(keras.optimizers.SGD(0.5, momentum=0.9), case.loss())
        # The last batch is smaller.
        history = model.fit(
            case.x, case.labels, batch_size=32, epochs=2, shuffle=False, verbose=0,
            callbacks=list(callbacks),
        ).history  # fmt: skip
        assert_untouched(model)
        variables = [*model.variables, *model.optimizer.variables]
        return repr(history), [v.numpy().tobytes() for v in variables]

    def recorder(name: str) -> Recorder:
        return Recorder(directory / f"{name}.h5", tensors=lambda iteration: True)

    report = {}
    for name in TRAININGS:
        plain = fit(name, strategy)
        report[name] = plain == fit(name, strategy, recorder(name))
    plain = fit("mlp", single)
    report["single"] = plain == fit("mlp", single, Recorder(directory / "single.h5"))
    fit("mlp", alone, recorder("alone"))
    (directory / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    root = Path(__file__).parents[2]
    sys.path.insert(0, str(root))
    import conftest  # noqa: F401  # makes the checkout importable as deeplocalize

    main(Path(sys.argv[1]))
