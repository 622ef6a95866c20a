"""A table model whose own code runs in a process of its own, started, asked and ended by us.

It keeps a crash, a hang, what the model prints and our environment apart from the run. It is no
prison: the code runs with the rights of whoever gave the command.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any, BinaryIO

from toetssteen.candidates.rows import Column
from toetssteen.candidates.table_source import TableSource
from toetssteen.errors import CandidateError
from toetssteen.records import Cell, Failure

# All that the other process gets to know of ours: no key, no token, no address of a server.
PASSED_ON = frozenset(
    {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT"}
    | {"CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
)
TAIL = 4096  # of what it said last on standard error


class Isolated:
    """The process, and the model in it."""

    def __init__(
        self, source: TableSource, *, classes: Sequence[str], seconds: float, threads: int | None
    ) -> None:
        """Start it and open the model there.

        Raises:
            CandidateError: the model cannot be opened, or not within `seconds`.
        """
        self._seconds = seconds
        self._scratch = TemporaryDirectory(prefix="toetssteen-", ignore_cleanup_errors=True)
        self._noise = Path(self._scratch.name) / "said"
        self._late = False
        self._process = self._start(threads)
        try:
            told = self._opened(source, classes)
        except BaseException:
            self.close()
            raise
        self.classes: tuple[str, ...] = tuple(told["classes"])
        self.columns: tuple[str, ...] = tuple(told["columns"])
        self.gives_probabilities: bool = told["probabilities"]
        self._versions: dict[str, str] = told["versions"]

    def predict(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]
    ) -> list[Mapping[str, Any] | Failure]:
        """Return `label` and `probabilities` for every row, or why there are none.

        Raises:
            CandidateError: the process crashed, hangs, or gives what is not understood.
        """
        asked = {"columns": [[column.name, column.dtype] for column in columns], "rows": rows}
        told = self._ask(asked)
        if "failed" in told:
            raise CandidateError(told["failed"])
        return [
            Failure("error", f"the model failed: {row['failed']}") if "failed" in row else row
            for row in told["rows"]
        ]

    def describe(self) -> Mapping[str, str]:
        """Say in what it runs."""
        return self._versions

    def close(self) -> None:
        """End the process and what it may have started."""
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent yet has nobody to read it
                    pipe.close()
        self._scratch.cleanup()

    def _start(self, threads: int | None) -> "subprocess.Popen[bytes]":
        ours = Path(__file__).parents[2]  # the folder from which toetssteen is imported
        environment = {name: os.environ[name] for name in PASSED_ON & os.environ.keys()}
        environment |= {
            "HOME": self._scratch.name,
            "TMPDIR": self._scratch.name,
            "PYTHONPATH": str(ours),
            "PYTHONHASHSEED": "0",
            "PYTHONIOENCODING": "utf-8",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        with self._noise.open("wb") as noise:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "toetssteen.candidates.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                cwd=self._scratch.name,
                env=environment,
                start_new_session=True,  # so that all it starts can be ended with it
            )

    def _opened(self, source: TableSource, classes: Sequence[str]) -> dict[str, Any]:
        asked = {"kind": source.kind, "place": str(source.place), "classes": list(classes)}
        told = self._ask(asked)
        if "failed" in told:
            raise CandidateError(f"{source.place}: cannot be opened: {told['failed']}")
        return told

    def _ask(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Send one line and read one."""
        stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        with self._in_time():
            try:
                stdin.write(json.dumps(record).encode() + b"\n")
                stdin.flush()
                line = stdout.readline()
            except OSError:  # it is gone
                line = b""
        if self._late:
            raise CandidateError(
                f"the model did not answer within {self._seconds:g} s and was stopped"
                f"{self._last_words()}; give it more with table.timeout_seconds"
            )
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            ended = self._ended()
            how = f"signal {-ended}" if ended < 0 else f"status {ended}"
            raise CandidateError(
                f"the model's process ended by itself ({how}){self._last_words()}"
            ) from None
        return told

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """End the process when the time is over: then the pipe closes, and reading ends."""

        def end() -> None:
            self._late = True
            self._kill()

        timer = Timer(self._seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _ended(self) -> int:
        """Return the status with which it ended; end it if it only stopped making sense."""
        try:
            return self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._kill()
            return self._process.wait()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it is gone already
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        """Return the last line it wrote to standard error."""
        with self._noise.open("rb") as noise:
            noise.seek(max(0, self._noise.stat().st_size - TAIL))
            lines = noise.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""


def _pipe(pipe: Any) -> BinaryIO:  # noqa: ANN401 - None only where none was asked for
    checked: BinaryIO = pipe
    return checked
