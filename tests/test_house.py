"""The house holds: names answer at once, heavy things stay outside, nothing else is tracked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "datasets", "evaluate", "mlflow", "scipy", "pandas", "numpy")
TOP = {
    "harness", "suites", "models", "reports", "tests", "docs", "pyproject.toml", "Makefile",
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "publiccode.yml", "constraints.txt",
}  # fmt: skip


@pytest.mark.parametrize("words", [("--help",), ("list",), ("list", "--candidates")])
def test_names_are_listed_without_heavy_libraries(words: tuple[str, ...]) -> None:
    """`toets list` answers in half a second; that is only possible without these."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "toetssteen", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint(HEAVY)


def test_the_top_of_the_tree_holds_what_was_agreed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == TOP


def test_a_run_opens_no_connection(tmp_path: Path) -> None:
    """From plan to report with sockets forbidden: nothing is fetched, nobody is told."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.yaml").write_text(
        "title: One\nlicence: EUPL-1.2\nadapter: {name: scripted, args: {otherwise: Ja}}\n"
    )
    code = (
        "import socket\n"
        "def forbidden(*a, **k): raise AssertionError('a connection was tried')\n"
        "socket.socket.connect = forbidden; socket.getaddrinfo = forbidden\n"
        "from toetssteen.cli import main\n"
        f"main(['run', 'quick', '--path', {str(tmp_path)!r}, '-c', 'one'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "TOETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
