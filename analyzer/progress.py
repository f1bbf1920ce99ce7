"""Progress on standard error: only on a terminal, and gone when done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from .engine import Progress as Report
from .text import visible

DELAY_S = 1.0


@contextmanager
def progress_bar(doing: str = "analysing") -> Iterator[Report | None]:
    """Yield a function that shows how much of a total is done, or None off a terminal.

    Nothing is shown in the first second.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    bar = Progress(
        TextColumn(doing),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(doing)
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        if time.monotonic() - began >= DELAY_S:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows one line in place of the last; it does nothing off a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(Text(visible(text), no_wrap=True, overflow="ellipsis"))
