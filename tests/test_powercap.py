"""Joules from powercap counters on a tree of our own: exact, or None with the reason."""

from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toetssteen.meters import NoMeter
from toetssteen.meters.powercap import PowercapMeter, best_meter, zones
from toetssteen.records import Reading
from toetssteen.registry import call, load

# 2^32 steps of 61 microjoules: what Intel's 32-bit counters hold, 262 kJ.
RANGE = 262_143_328_850


@dataclass
class Machine:
    """A powercap folder and a clock, both in our hands."""

    root: Path
    now: float = 1000.0
    counters: dict[str, int] = field(default_factory=dict)

    def zone(self, folder: str, name: str, microjoules: int = 0, span: int | None = RANGE) -> None:
        place = self.root / folder
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        if span is not None:
            (place / "max_energy_range_uj").write_text(f"{span}\n")
        self.set(folder, microjoules)

    def set(self, folder: str, microjoules: int) -> None:
        self.counters[folder] = microjoules
        (self.root / folder / "energy_uj").write_text(f"{microjoules}\n")

    def spend(self, folder: str, joules: float) -> None:
        """Let a counter run on, and wrap where it must."""
        span = int((self.root / folder / "max_energy_range_uj").read_text())
        self.set(folder, (self.counters[folder] + round(joules * 1e6)) % (span + 1))

    def meter(self) -> PowercapMeter:
        return PowercapMeter(self.root, clock=lambda: self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def joules(readings: tuple[Reading, ...]) -> dict[str, float | None]:
    return {reading.source: reading.joules for reading in readings}


def unknown(reading: Reading) -> str:
    """Check that a reading is unknown through and through, and return why."""
    assert (reading.joules, reading.basis) == (None, "unknown")
    assert reading.reason.startswith(f"{reading.source}: ")
    return reading.reason


# --- what is counted -------------------------------------------------------------------------


def test_a_package_counts_the_joules_between_open_and_close(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", 5_000_000)
    meter = machine.meter()
    meter.open()
    machine.spend("intel-rapl:0", 123.456789)
    machine.now += 10
    assert meter.close() == (
        Reading("package-0", 123.456789, "measured", "cpu_package", "powercap/1"),
    )


def test_each_block_counts_from_its_own_start(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0")
    meter = machine.meter()
    for spent in (100.0, 250.0):
        meter.open()
        machine.spend("intel-rapl:0", spent)
        machine.now += 10
        assert joules(meter.close()) == {"package-0": spent}
        machine.spend("intel-rapl:0", 77.0)  # between blocks


def test_two_packages_and_their_memory_are_four_sources(machine: Machine) -> None:
    for package, start in (("0", 1_000_000), ("1", 9_000_000)):
        machine.zone(f"intel-rapl:{package}", f"package-{package}", start)
        machine.zone(f"intel-rapl:{package}:0", "core", start)
        machine.zone(f"intel-rapl:{package}:1", "dram", start)
    meter = machine.meter()
    meter.open()
    for package, spent in (("0", 1000.0), ("1", 500.0)):
        machine.spend(f"intel-rapl:{package}", spent)
        machine.spend(f"intel-rapl:{package}:0", spent / 2)
        machine.spend(f"intel-rapl:{package}:1", spent / 5)
    machine.now += 10
    readings = meter.close()
    assert joules(readings) == {
        "package-0": 1000.0,
        "dram of package-0": 200.0,
        "package-1": 500.0,
        "dram of package-1": 100.0,
    }
    assert {r.source: r.scope for r in readings}["dram of package-1"] == "dram"


def test_psys_holds_the_packages_and_core_lies_in_them_so_neither_is_added(
    machine: Machine,
) -> None:
    machine.zone("intel-rapl:0", "package-0")
    machine.zone("intel-rapl:0:0", "core")
    machine.zone("intel-rapl:0:1", "uncore")
    machine.zone("intel-rapl:1", "psys")
    assert [zone.name for zone in zones(machine.root)] == ["package-0"]


def test_a_package_seen_through_msr_and_mmio_counts_once(machine: Machine) -> None:
    for way in ("intel-rapl", "intel-rapl-mmio"):
        machine.zone(f"{way}:0", "package-0")
        machine.zone(f"{way}:0:0", "dram")
    (machine.root / "intel-rapl").mkdir()  # the control type itself is no zone
    (machine.root / "intel-rapl:9").mkdir()  # nor is what has no name
    meter = machine.meter()
    meter.open()
    for folder in machine.counters:
        machine.spend(folder, 300.0)
    machine.now += 10
    readings = [(reading.source, reading.joules) for reading in meter.close()]
    assert sorted(readings) == [("dram of package-0", 300.0), ("package-0", 300.0)]


def test_a_container_that_sees_one_package_counts_it(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0")
    assert isinstance(best_meter(machine.root), PowercapMeter)


# --- wraps and resets ------------------------------------------------------------------------


def test_a_counter_that_wraps_goes_on_where_it_was(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", RANGE - 400_000_000)
    meter = machine.meter()
    meter.open()
    machine.spend("intel-rapl:0", 1000.0)
    machine.now += 10
    assert machine.counters["intel-rapl:0"] == 599_999_999  # 400 J to the top, and one step over
    assert joules(meter.close()) == {"package-0": 1000.0}


def test_a_counter_that_was_reset_is_unknown_and_no_wrap(machine: Machine) -> None:
    """From 50 kJ to 0.1 kJ: as a wrap it would be 212 kJ in 10 s."""
    machine.zone("intel-rapl:0", "package-0", 50_000_000_000)
    meter = machine.meter()
    meter.open()
    machine.set("intel-rapl:0", 100_000_000)
    machine.now += 10
    (reading,) = meter.close()
    assert "was reset" in unknown(reading)


def test_a_gap_in_which_the_counter_may_have_wrapped_twice_is_unknown(machine: Machine) -> None:
    """262 kJ at 1,000 W last 262 s."""
    machine.zone("intel-rapl:0", "package-0")
    for seconds, known in ((262.0, True), (263.0, False)):
        meter = machine.meter()
        meter.open()
        machine.spend("intel-rapl:0", 150.0)
        machine.now += seconds
        (reading,) = meter.close()
        if known:
            assert reading.joules == 150.0
        else:
            assert "may have wrapped" in unknown(reading)


def test_a_range_of_the_smallest_counters_is_a_minute(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", span=65_712_999_613)
    meter = machine.meter()
    meter.open()
    machine.spend("intel-rapl:0", 150.0)
    machine.now += 66
    (reading,) = meter.close()
    assert "66 s between readings" in unknown(reading)


@given(st.lists(st.integers(1, 9_000_000_000), min_size=1, max_size=12), st.integers(0, RANGE))
@settings(deadline=None, max_examples=30)
def test_every_block_of_a_run_is_exact_to_the_microjoule(spent: list[int], start: int) -> None:
    """However often the counter wraps on the way."""
    with TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.zone("intel-rapl:0", "package-0", start)
        meter = machine.meter()
        found = []
        for microjoules in spent:
            meter.open()
            machine.set(
                "intel-rapl:0", (machine.counters["intel-rapl:0"] + microjoules) % (RANGE + 1)
            )
            machine.now += 10
            (reading,) = meter.close()
            found.append(reading.joules)
    assert found == [microjoules / 1e6 for microjoules in spent]


# --- what cannot be read ---------------------------------------------------------------------


def test_a_counter_that_stands_still_counts_nothing_rather_than_zero(machine: Machine) -> None:
    """Some virtual machines show a counter that never moves; a package that draws 0 W does not."""
    machine.zone("intel-rapl:0", "package-0", 777)
    meter = machine.meter()
    meter.open()
    machine.now += 10
    (reading,) = meter.close()
    assert "did not move" in unknown(reading)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_counter_that_cannot_be_read_on_one_side_is_unknown(machine: Machine, when: str) -> None:
    machine.zone("intel-rapl:0", "package-0")
    machine.zone("intel-rapl:1", "package-1")
    counter = machine.root / "intel-rapl:0" / "energy_uj"
    meter = machine.meter()
    if when == "before":
        counter.unlink()
    meter.open()
    if when == "before":
        machine.set("intel-rapl:0", 0)
    for folder in ("intel-rapl:0", "intel-rapl:1"):
        machine.spend(folder, 200.0)
    if when == "after":
        counter.unlink()
    machine.now += 10
    lost, read = meter.close()
    assert "cannot be read" in unknown(lost)
    assert (read.source, read.joules) == ("package-1", 200.0)


@pytest.mark.parametrize("text", ["", "n/a\n", "12.5\n"])
def test_a_counter_that_holds_no_number_is_unknown(machine: Machine, text: str) -> None:
    machine.zone("intel-rapl:0", "package-0")
    (machine.root / "intel-rapl:0" / "energy_uj").write_text(text)
    meter = machine.meter()
    meter.open()
    machine.now += 10
    (reading,) = meter.close()
    assert "cannot be read" in unknown(reading)


def test_a_zone_that_vanishes_during_a_run_is_unknown(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0")
    meter = machine.meter()
    meter.open()
    rmtree(machine.root / "intel-rapl:0")
    machine.now += 10
    (reading,) = meter.close()
    assert "cannot be read" in unknown(reading)


@pytest.mark.parametrize("text", [None, "", "n/a\n", "0\n"])
@pytest.mark.parametrize("spent", [200.0, -200.0])
def test_without_its_range_a_wrap_cannot_be_told_so_nothing_is(
    machine: Machine, text: str | None, spent: float
) -> None:
    machine.zone("intel-rapl:0", "package-0", 500_000_000)
    file = machine.root / "intel-rapl:0" / "max_energy_range_uj"
    meter = machine.meter()
    meter.open()
    machine.set("intel-rapl:0", 500_000_000 + round(spent * 1e6))
    file.unlink() if text is None else file.write_text(text)
    machine.now += 10
    (reading,) = meter.close()
    assert "max_energy_range_uj" in unknown(reading)


def test_a_meter_that_was_not_opened_is_a_mistake_of_ours(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0")
    with pytest.raises(ValueError, match="zip"):
        machine.meter().close()


# --- which meter a machine gets --------------------------------------------------------------


def test_a_machine_without_zones_gets_a_meter_that_says_so(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "no-such-folder"):
        meter = best_meter(root)
        assert isinstance(meter, NoMeter)
        meter.open()
        (reading,) = meter.close()
        assert (reading.joules, reading.basis) == (None, "unknown")
        assert reading.reason == "this machine shows no energy counters (no powercap zones)"


def test_a_counter_that_only_root_may_read_gets_a_meter_that_says_what_that_takes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.zone("intel-rapl:0", "package-0")
    allowed = Path.read_text

    def read_text(file: Path, *args: str | None, **kwargs: str | None) -> str:
        if file.name == "energy_uj":  # a mode of 0400; the tests may run as root
            raise PermissionError(13, "Permission denied", str(file))
        return allowed(file, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read_text)
    meter = best_meter(machine.root)
    assert isinstance(meter, NoMeter)
    (reading,) = meter.close()
    assert (reading.joules, reading.basis) == (None, "unknown")
    assert "energy_uj cannot be read (Permission denied)" in reading.reason
    assert "CVE-2020-8694" in reading.reason


def test_the_meter_can_be_named(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0")
    meter = call(load("meters", "powercap"), {"root": str(machine.root)}, where="meter")
    meter.open()
    (reading,) = meter.close()
    assert reading.source == "package-0"
    assert call(load("meters", "none"), {"reason": "not asked"}, where="meter") == NoMeter(
        "not asked"
    )
