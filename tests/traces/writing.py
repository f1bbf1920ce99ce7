"""A process that writes a trace without end and reports what it has flushed.

Started by tests that kill it or fill its disk: ``python -m tests.traces.writing PATH``. After
each flush it prints the number of iterations flushed so far; after an error its message.
"""

import sys

import conftest  # noqa: F401 (makes the checkout importable)
from deeplocalize.traces import Event, Tensor, TraceWriteError, create_writer

from .build import block, header

N_ROWS, N_SERIES = 4, 30


def main(path: str) -> None:
    """Write blocks of `N_ROWS` iterations until killed or until the first error."""
    writer = create_writer(path)
    try:
        writer.write_header(header(N_SERIES))
        first = 0
        while True:
            content = block(first, N_ROWS, N_SERIES)
            writer.append(content)
            writer.append_events([Event("note", iteration=first)])
            writer.append_tensors([Tensor(first, 0, content.statistics["rms"])])
            writer.flush()
            first += N_ROWS
            print(first, flush=True)
    except TraceWriteError as error:
        print(error, flush=True)
    finally:
        writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
