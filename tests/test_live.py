"""A training that is still running, watched from another process."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deeplocalize.traces import open_trace

BROKEN, HELD, N_BATCHES = 37, 100, 120
# At batch 100 the training waits until it is told to go on: what was seen by then was seen live.
TRAINING = textwrap.dedent(
    f"""
    import conftest, sys
    import numpy as np, keras
    from deeplocalize.recorder import Recorder

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden"),
                              keras.layers.Dense(1, name="head")])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8 * {N_BATCHES}, 4)).astype("float32")
    y = x.sum(axis=1)
    x[8 * {BROKEN}] = np.nan

    def hold(batch, logs):
        if batch == {HELD}:
            sys.stdin.readline()

    model.fit(x, y, 8, verbose=0, shuffle=False, callbacks=[
        Recorder(sys.argv[1]), keras.callbacks.LambdaCallback(on_train_batch_end=hold)])
    """
)
FOLLOW = "import conftest, sys; from deeplocalize.analyzer.cli import main; sys.exit(main())"
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("suffix", ["h5", "parquet"])
def test_a_running_training_is_followed_to_its_fault_and_can_be_read_on(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"run.{suffix}"
    train = [sys.executable, "-c", TRAINING, str(path)]
    follow = [sys.executable, "-c", FOLLOW, "--follow", str(path)]
    with subprocess.Popen(train, cwd=ROOT, stdin=subprocess.PIPE, text=True) as training:
        try:
            followed = subprocess.run(
                follow, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
            )
            assert training.poll() is None
            assert followed.returncode == 1
            assert f"iteration {BROKEN}" in followed.stdout
            assert "waiting" in followed.stderr
            with open_trace(path) as trace:
                n_seen = trace.n_iterations
                assert BROKEN < n_seen <= HELD + 1
                training.communicate("go on\n", timeout=240)
                trace.refresh()
                assert trace.n_iterations == N_BATCHES
                assert len(trace.iterations) == N_BATCHES
        finally:
            training.kill()
    assert training.returncode == 0
