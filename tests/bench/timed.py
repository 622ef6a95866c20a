"""A whole process, timed; and the journal in which every figure is kept as soon as it is there."""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timed:
    """What a process and those it started took."""

    wall_seconds: float
    cpu_seconds: float  # user and system, children that were waited for included
    peak_mib: float  # resident, of the largest single process among them
    load_before: float  # average over the minute before


def timed(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Timed:
    """Run a command to its end; Linux only (`ru_maxrss` counts in KiB there).

    Raises:
        SystemExit: it failed; says where its output stands.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    with log.open("wb") as stream:
        started = perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            # Not `wait`: only wait4 tells what this child took, apart from earlier ones.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: see {log}")
    return Timed(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, load)


class Journal:
    """JSON Lines, appended to; what was measured once is not measured again."""

    def __init__(self, file: Path) -> None:
        """Read what is there."""
        self._file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        self.records: list[Record] = [json.loads(line) for line in lines]

    def add(self, what: Mapping[str, Any], timed: Timed | None = None) -> None:
        """Keep a figure, on disk before this returns."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        record = {**what, **(asdict(timed) if timed else {}), "at": at}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        self.records.append(record)

    def find(self, **wanted: object) -> Iterator[Record]:
        """Give the records that agree, in the order in which they were kept."""
        for record in self.records:
            if all(record.get(name) == value for name, value in wanted.items()):
                yield record


def most_items(records: Iterable[Record]) -> list[Record]:
    """Return those of the records that rest on most items; without a limit, on all."""
    found = list(records)
    most = max((record["limit"] or inf for record in found), default=inf)
    return [record for record in found if (record["limit"] or inf) == most]
