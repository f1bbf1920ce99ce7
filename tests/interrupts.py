"""A command that is interrupted, as by Ctrl-C, at the moment at which it imports a module."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

_INTERRUPTED_AT = """
import os, signal, sys
from importlib.abc import MetaPathFinder
class Interrupt(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.{handler})
sys.meta_path.insert(0, Interrupt())
"""


def run_interrupted(
    command: str, module: str, *arguments: str, handler: str = "default_int_handler"
) -> tuple[int, str, str]:
    """Exit code, output and errors of a program's text, run in the checkout."""
    code = _INTERRUPTED_AT.format(module=module, handler=handler) + command
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr
