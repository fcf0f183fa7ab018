"""Progress for people: on a terminal a live line with rate and time left, else a line a step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Without a terminal, one line each so many seconds says that work goes on.
QUIET_LINE_S = 2.0


class Steps:
    """Shows what is being done on standard error, so that standard output stays for results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._said_s = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._progress.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._live:
            self._progress.console.print(f"[dim]·[/] {text}", highlight=False)
        else:
            print(f"· {text}", file=sys.stderr, flush=True)

    @contextmanager
    def counting(self, text: str, total: int | None = None) -> Iterator[Counting]:
        """Something with a count: yields what takes the count so far."""
        task = self._progress.add_task(text, total=total)
        counting = Counting(self, task, text, total)
        yield counting
        self._progress.remove_task(task)
        took_s = time.monotonic() - counting.started_s
        done = f" {counting.done:,}" if counting.done else ""
        rate = f", {counting.done / took_s:,.0f}/s" if counting.done and took_s > 0.5 else ""
        self.say(f"{text}:{done} done in {took_s:.1f} s{rate}")

    def describe(self, task: TaskID, text: str) -> None:
        """Say what a count is of."""
        self._progress.update(task, description=text)

    def update(self, task: TaskID, text: str, done: int, total: int | None) -> None:
        """Move a count on."""
        self._progress.update(task, completed=done, total=total)
        now_s = time.monotonic()
        if not self._live and now_s - self._said_s > QUIET_LINE_S:
            self._said_s = now_s
            of = f" of {total:,}" if total else ""
            print(f"  {text}: {done:,}{of}", file=sys.stderr, flush=True)


class Counting:
    """The count of one step."""

    def __init__(self, steps: Steps, task: TaskID, text: str, total: int | None) -> None:
        self._steps = steps
        self._task = task
        self._text = text
        self._total = total
        self.done = 0
        self.started_s = time.monotonic()

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done."""
        self.done = done
        self._steps.update(self._task, self._text, done, total or self._total)

    def named(self, text: str, done: int, total: int) -> None:
        """So much of something within the step is done."""
        self._text = text
        self._steps.describe(self._task, text)
        self.at(done, total)
