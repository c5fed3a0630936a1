"""`make bench`: how fast and how good the main job is, on the real slices in GLIASCOPE_DATA.

Prints a Markdown table and writes it to benchmarks/results/. Each row is a job in a process of its own,
with an empty cache, timed from outside.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
SLICES = 7023


@dataclass(frozen=True)
class Outcome:
    seconds: float
    peak_gib: float  # resident set, mapped files included
    anonymous_gib: float  # without mapped files; sampled


def gliascope(*arguments: object, cache: Path) -> Outcome:
    """Run a command to its end; stop the benchmark where it fails."""
    command = [sys.executable, "-m", "gliascope", *map(str, arguments)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | {"GLIASCOPE_CACHE": str(cache)}, stdout=subprocess.DEVNULL
    )
    samples = [0.0]
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        samples.append(anonymous_gib(process.pid))
        time.sleep(0.02)
    if ended[1] != 0:
        sys.exit(f"{' '.join(command)} failed")
    return Outcome(time.perf_counter() - began, ended[2].ru_maxrss / 2**20, max(samples))


def anonymous_gib(pid: int) -> float:
    """Anonymous memory of a process now; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


def median_seconds(*arguments: object, cache: Path, times: int = 5) -> float:
    return statistics.median(gliascope(*arguments, cache=cache).seconds for _ in range(times))


def rates(data: Path, work: Path) -> list[tuple[str, str, str]]:
    catalog = work / "catalog.parquet"
    scan = gliascope("scan", data / "masoud7023", "--out", catalog, cache=work / "cache-rates")
    store = gliascope("store", catalog, cache=work / "cache-rates")
    return [
        ("`scan` masoud7023", f"{SLICES / scan.seconds:.0f} slices/s, start-up included", "≥ 400"),
        ("`store` masoud7023", f"{SLICES / store.seconds:.0f} slices/s, start-up included", "≥ 400"),
    ]


def job(name: str, sources: list[Path], work: Path) -> list[tuple[str, str, str]]:
    out = work / name
    arguments = ("run", *sources, "--out", out, "--protocol", "official")
    outcome = gliascope(*arguments, cache=work / f"cache-{name}")
    report = json.loads((out / "report.json").read_text())
    result = report["protocols"]["official"]
    accuracy = result["accuracy"]
    shown = f"{accuracy['value']:.2%} ({accuracy['low']:.2%}-{accuracy['high']:.2%})"
    alone = len(sources) == 1
    return [
        (f"`run` {name}: accuracy on {result['n']} official test slices", shown, "≥ 99.2 %" if alone else ""),
        (
            f"`run` {name}: epoch chosen on validation",
            f"{report['chosen_epoch']} of {len(report['curves'])}",
            "",
        ),
        (
            f"`run` {name}: whole job",
            f"{outcome.seconds / 60:.1f} minutes",
            "< 20 minutes" if alone else "",
        ),
        (
            f"`run` {name}: peak memory",
            f"{outcome.anonymous_gib:.2f} GiB; {outcome.peak_gib:.2f} GiB with mapped files",
            "< 4 GiB" if alone else "",
        ),
    ]


def starts(data: Path, bundle: Path, work: Path) -> list[tuple[str, str, str]]:
    image = next((data / "masoud7023" / "Testing" / "glioma").iterdir())
    cache = work / "cache-starts"
    return [
        ("`gliascope --help`", f"{median_seconds('--help', cache=cache):.2f} s", "< 0.4 s"),
        (
            "`predict` one JPEG, cold start",
            f"{median_seconds('predict', bundle, image, cache=cache):.2f} s",
            "< 2 s",
        ),
    ]


def write(rows: list[tuple[str, str, str]]) -> None:
    """Write the table so far: a later job that fails loses nothing."""
    lines = [
        f"Machine: {os.cpu_count()} cores, {platform.machine()}; Python {platform.python_version()}.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {what} | {measured} | {target} |" for what, measured, target in rows),
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "main-job.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    folder = os.environ.get("GLIASCOPE_DATA")
    if not folder:
        sys.exit("set GLIASCOPE_DATA to the folder that holds masoud7023/ and sartaj3264/")
    data = Path(folder).resolve()
    one, both = [data / "masoud7023"], [data / "masoud7023", data / "sartaj3264"]
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="gliascope-bench-") as temporary:
        work = Path(temporary)
        for part in (
            lambda: rates(data, work),
            lambda: job("masoud7023", one, work),
            lambda: starts(data, work / "masoud7023" / "bundle", work),
            lambda: job("masoud7023 + sartaj3264", both, work),
        ):
            rows += part()
            write(rows)
    print((RESULTS / "main-job.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
