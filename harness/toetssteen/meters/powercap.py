"""Energy of CPU packages and memory from the kernel's powercap counters (RAPL)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from toetssteen.meters import Meter, NoMeter
from toetssteen.records import Basis, Reading

ROOT = Path("/sys/class/powercap")
METHOD = "powercap/1"
# No package on the market draws more; a counter that moved faster has been reset or has wrapped
# more than once, and which of the two cannot be told.
MOST_WATTS = 1000.0


@dataclass(frozen=True, slots=True)
class Zone:
    """One counter that may be added up: a package or a memory zone."""

    name: str  # package-0, dram of package-0
    scope: str  # cpu_package, dram
    folder: Path


@dataclass(frozen=True, slots=True)
class _Count:
    microjoules: int | None
    seconds: float
    reason: str = ""


class PowercapMeter:
    """Reads `energy_uj` of every package and memory zone.

    psys zones contain the packages and core zones are contained in them, so neither is added.
    A package that both MSR and MMIO report counts once.

    Args:
        root: the powercap folder.
        clock: seconds that only go forward.
    """

    def __init__(self, root: Path = ROOT, clock: Callable[[], float] = monotonic) -> None:
        """Find the zones."""
        self._zones = zones(root)
        self._clock = clock
        self._before: tuple[_Count, ...] = ()

    def open(self) -> None:
        """Read every counter."""
        self._before = tuple(self._count(zone) for zone in self._zones)

    def close(self) -> tuple[Reading, ...]:
        """Read every counter again and take the difference."""
        return tuple(
            self._reading(zone, before, self._count(zone))
            for zone, before in zip(self._zones, self._before, strict=True)
        )

    def _count(self, zone: Zone) -> _Count:
        try:
            return _Count(int((zone.folder / "energy_uj").read_text()), self._clock())
        except (OSError, ValueError) as error:
            return _Count(None, self._clock(), f"{zone.name}: cannot be read ({error})")

    def _reading(self, zone: Zone, before: _Count, after: _Count) -> Reading:
        joules, reason = _difference(zone, before, after)
        basis: Basis = "unknown" if joules is None else "measured"
        return Reading(zone.name, joules, basis, zone.scope, METHOD, reason)


def best_meter(root: Path = ROOT) -> Meter:
    """Return the meter for this machine: powercap where it can be read, else one that says why."""
    found = zones(root)
    if not found:
        return NoMeter("this machine shows no energy counters (no powercap zones)")
    for zone in found:
        try:
            (zone.folder / "energy_uj").read_text()
        except OSError as error:
            return NoMeter(
                f"{zone.folder}/energy_uj cannot be read ({error.strerror}); an administrator "
                "can allow it, at the price of the side channel CVE-2020-8694"
            )
    return PowercapMeter(root)


def zones(root: Path) -> tuple[Zone, ...]:
    """Return the zones that may be added up, each package once."""
    found: dict[str, Zone] = {}
    for folder in sorted(root.glob("*:*")):
        name = _read(folder / "name")
        if name is None:
            continue
        if name.startswith("package"):
            found.setdefault(name, Zone(name, "cpu_package", folder))
        elif name == "dram":
            owner = _read(root / folder.name.rpartition(":")[0] / "name") or folder.name
            found.setdefault(f"dram of {owner}", Zone(f"dram of {owner}", "dram", folder))
    return tuple(found.values())


def _difference(zone: Zone, before: _Count, after: _Count) -> tuple[float | None, str]:
    """Return the joules between two readings, or None and why."""
    if before.microjoules is None or after.microjoules is None:
        return None, before.reason or after.reason
    span = _read(zone.folder / "max_energy_range_uj") or ""
    if not span.isdecimal() or int(span) == 0:
        return None, f"{zone.name}: no max_energy_range_uj; a wrap could not be told"
    whole = int(span) + 1
    seconds = after.seconds - before.seconds
    if seconds > whole / 1e6 / MOST_WATTS:
        return None, f"{zone.name}: {seconds:.0f} s between readings; the counter may have wrapped"
    joules = (after.microjoules - before.microjoules) % whole / 1e6
    if joules == 0:
        # Some virtual machines show a counter that stands still; nothing that runs draws 0 W.
        return None, f"{zone.name}: the counter did not move in {seconds:.3g} s"
    if joules > MOST_WATTS * max(seconds, 0.01):
        return None, f"{zone.name}: the counter was reset"
    return joules, ""


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
