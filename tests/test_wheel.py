"""The wheel carries the tracked files it should, no more, and works in a clean venv."""

import os
import subprocess
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = [pytest.mark.wheel, pytest.mark.slow]

ROOT = Path(__file__).parents[1]
CARRIED = {
    "harness/toetssteen/": "toetssteen/",
    "suites/": "toetssteen/_content/suites/",
    "models/": "toetssteen/_content/models/",
    "reports/templates/": "toetssteen/_content/reports/templates/",
    "reports/requirements/": "toetssteen/_content/reports/requirements/",
    "reports/profiles/": "toetssteen/_content/reports/profiles/",
}


@pytest.fixture(scope="module")
def wheel() -> Path:
    """Return the wheel that `make wheel` built."""
    found = sorted((ROOT / "dist").glob("toetssteen-*.whl"))
    if not found:
        pytest.skip("there is no wheel in dist; run `make wheel`")
    return found[-1]


def test_the_wheel_holds_exactly_the_tracked_files(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {
        inside + name.removeprefix(folder)
        for name in listed.stdout.splitlines()
        for folder, inside in CARRIED.items()
        if name.startswith(folder)
    }
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_the_wheel_lists_and_checks_in_a_clean_venv(wheel: Path, tmp_path: Path) -> None:
    """Installed where no checkout is near, the content is found inside the package."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    install = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*install, "--constraint", ROOT / "constraints.txt", wheel], check=True, cwd=tmp_path
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for words in (["list"], ["check"]):
        done = subprocess.run(
            [place / "bin" / "toets", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "bias/decision_pairs" in done.stdout
