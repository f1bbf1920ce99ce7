"""Where ``deeplocalize-record`` begins: Ctrl-C ends it quietly until the script begins."""

import os
import signal
import sys

INTERRUPTED = 130  # as the shell counts a process ended by Ctrl-C


def main() -> int:
    """Run the command; returns its exit code."""
    # Before pandas and all, which take seconds. Where Ctrl-C means something else (nothing, under
    # nohup), it goes on to.
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if listens:
        # What libraries make of an exception that comes while they are imported is up to them.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from .script import main as run

    def begin() -> None:
        # From here on Ctrl-C is the script's, which ends by it as it does under ``python``.
        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    return run(begin=begin)


if __name__ == "__main__":
    sys.exit(main())
