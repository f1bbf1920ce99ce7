"""What a whole process leaves: dead of an exception, on a full disk, or forked."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from deeplocalize.traces import open_trace


def run_script(body: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    script = f"""
        import resource, signal, sys
        import numpy as np, keras
        import conftest
        from deeplocalize.recorder import Recorder
        keras.utils.set_random_seed(1)
        layers = [keras.Input((16,)), keras.layers.Dense(64), keras.layers.Dense(3)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        x, y = np.ones((1000, 16)), np.ones((1000, 3))
        path = {str(tmp_path / "run.h5")!r}
    """
    code = textwrap.dedent(script) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_script_that_dies_of_an_exception_leaves_a_closed_trace(tmp_path: Path) -> None:
    done = run_script(
        """
        class Die(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                raise ValueError("broken")
        model.fit(x, y, batch_size=10, verbose=0, callbacks=[Recorder(path), Die()])
        """,
        tmp_path,
    )
    assert "ValueError: broken" in done.stderr
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 100
        assert trace.ended == {"status": "exception"}


def test_a_full_disk_ends_the_recording_and_not_the_training(tmp_path: Path) -> None:
    done = run_script(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        recorder = Recorder(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
        import deeplocalize.recorder.recording as recording
        recording.BLOCK_BYTES = 200_000
        model.fit(x, y, batch_size=1, epochs=10, verbose=0, callbacks=[recorder])
        print("trained", model.optimizer.iterations.numpy())
        """,
        tmp_path,
    )
    assert "trained 10000" in done.stdout, done.stderr
    assert done.stderr.count("deeplocalize stopped recording") == 1
    with open_trace(tmp_path / "run.h5") as trace:
        assert 0 < trace.n_iterations < 10000
        assert np.isfinite(trace.reader.read().statistics["rms"][:, 0]).all()


def test_where_not_even_the_header_finds_room_nothing_is_left_behind(tmp_path: Path) -> None:
    done = run_script(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        recorder = Recorder(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        model.fit(x, y, batch_size=100, epochs=1, verbose=0, callbacks=[recorder])
        print("trained", model.optimizer.iterations.numpy())
        """,
        tmp_path,
    )
    assert "trained 10" in done.stdout, done.stderr
    assert done.stderr.count("deeplocalize stopped recording") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_first_fits_of_a_process_may_begin_in_several_threads(tmp_path: Path) -> None:
    done = run_script(
        """
        import threading
        def train(k):
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            together.wait()
            recorder = Recorder(path.replace("run", f"run{k}"))
            model.fit(np.ones((40, 2)), np.ones(40), verbose=0, callbacks=[recorder])
        together = threading.Barrier(4)
        threads = [threading.Thread(target=train, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for k in range(4):
        with open_trace(tmp_path / f"run{k}.h5") as trace:
            assert trace.n_iterations == 2


def test_a_process_forked_from_a_recorded_one_can_record(tmp_path: Path) -> None:
    done = run_script(
        """
        import os
        big = np.ones((4096, 256), np.float32)
        from deeplocalize.recorder.kernel import COLUMNS, StepKernel
        kernel = StepKernel([False, False])
        out = np.empty((2, len(COLUMNS)), np.int64)
        kernel([big, big], [None, None], out)  # enough for a second thread
        child = os.fork()
        if not child:
            kernel([big, big], [None, None], out)
            os._exit(7)
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        tmp_path,
    )
    assert "child 7" in done.stdout, done.stderr
