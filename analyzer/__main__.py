"""Where ``deeplocalize-analyze`` begins: Ctrl-C ends it quietly while it still loads, too."""

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
    from .cli import main as run

    try:
        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
