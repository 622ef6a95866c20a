"""Where fetched files lie, found again by their sha256.

External data sets are never copied into the project. `toets fetch` brings them into the cache;
offline, a mirror folder that holds `sha256/<digest>` takes the place of the network.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from tempfile import NamedTemporaryFile

import platformdirs

from toetssteen.errors import RunError, UsageError


def folder() -> Path:
    """Return the cache folder: `TOETS_CACHE`, or the user's own cache folder."""
    named = os.environ.get("TOETS_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("toetssteen")


def mirror() -> Path | None:
    """Return the mirror folder that `TOETS_MIRROR` names, if any."""
    named = os.environ.get("TOETS_MIRROR")
    return Path(named) if named else None


def digest(file: Path) -> str:
    """Return the sha256 of a file, read in pieces; once a process, unless the file changes."""
    about = file.stat()
    return _digest(file, about.st_ino, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(file: Path, *_about: int) -> str:
    # Gigabytes of weights are asked for twice: when the plan is made, and when they are opened.
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def find(sha256: str) -> Path | None:
    """Return the cached or mirrored file of that digest, if there is one."""
    for place in (folder(), mirror()):
        if place is not None and (file := place / "sha256" / sha256).is_file():
            return file
    return None


def fetch(url: str, sha256: str) -> Path:
    """Return the file of that digest, downloading it into the cache where needed.

    Raises:
        RunError: it is not in cache or mirror and could not be downloaded.
        UsageError: what came back is not the file that was pinned.
    """
    if (have := find(sha256)) is not None:
        return have
    target = folder() / "sha256" / sha256
    with writing(target) as part:
        _download(url, part)
        found = digest(part)
        if found != sha256:
            raise UsageError(f"{url}: sha256 is {found}, expected {sha256}; the file has changed")
    return target


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Give a temporary file beside `target` that takes its name only when all went well.

    Raises:
        RunError: it cannot be written: no permission, a full disk.
    """
    made_folder(target.parent)
    part: Path | None = None
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as stream:
            part = Path(stream.name)
        yield part
        part.replace(target)
    except OSError as error:
        raise _not_writable(target.parent, error) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def made_folder(folder: Path) -> Path:
    """Make a folder, if it is not there yet.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from None
    return folder


def _not_writable(folder: Path, error: OSError) -> RunError:
    return RunError(
        f"{folder}: cannot be written: {error.strerror or error}; make room or set TOETS_CACHE "
        "to a folder that can be written"
    )


def _download(url: str, target: Path) -> None:
    import httpx  # noqa: PLC0415 - 0.2 s that `toets list` need not pay

    try:
        with (
            httpx.stream("GET", url, follow_redirects=True, timeout=60) as response,
            target.open("wb") as out,
        ):
            response.raise_for_status()
            for piece in response.iter_bytes():
                out.write(piece)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RunError(
            f"{url} could not be fetched ({error}); offline, put the file into a folder as "
            "sha256/<digest> and name it with --mirror DIR or TOETS_MIRROR"
        ) from None


def room_for(size: int, where: Path) -> None:
    """Check that a file of `size` bytes fits.

    Raises:
        RunError: it does not; says how much is needed.
    """
    free = shutil.disk_usage(made_folder(where)).free
    if free < size:
        raise RunError(
            f"{where}: {size / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; make room or set "
            "TOETS_CACHE to another disk"
        )
