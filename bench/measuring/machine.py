"""Where and on what it was measured: without that, no figure says anything."""

import hashlib
import os
import platform
import re
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUIET = 0.7  # runnable processes beside ours, as the mean of a minute


def described(options):
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpus)
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "command": options["command"],
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, "
                   f"{int(memory[1]) / 1024**2:.1f} GiB, Linux {platform.release()}",
        "versions": ", ".join([valve(options), said("rustc", "--version"), f"Kafka {kafka()}", f"librdkafka {librdkafka()}"]),
    }


def why_not_results(options):
    """What makes the figures of this run no results; nothing if they are."""
    reasons = []
    if options["dev"]:
        reasons.append("unoptimised builds")
    if options["quick"]:
        reasons.append("few records and rounds (--quick)")
    return reasons


def wait_for_quiet(limit):
    """Waits until nothing else keeps the machine busy, for `limit` seconds at most; the load that was found then.

    The kernel's load mean is slow to forget what we did ourselves, so this looks at how idle the cores are."""
    give_up = time.monotonic() + limit
    while True:
        busy = busy_cores(1.0)
        if busy <= QUIET or time.monotonic() > give_up:
            return busy
        time.sleep(2)


def busy_cores(seconds):
    """How many cores were busy for the next `seconds`, by whatever."""
    before = ticks()
    time.sleep(seconds)
    busy, whole = (now - then for now, then in zip(ticks(), before))
    return os.cpu_count() * busy / max(1, whole)


def ticks():
    found = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = found[3] + found[4]
    return sum(found) - idle, sum(found)


def said(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "unknown"


def valve(options):
    binary = os.environ["BENCH_VALVE"]
    if options["valve"]:  # whoever built it knows from what
        built = f"a binary with SHA-256 {hashlib.sha256(Path(binary).read_bytes()).hexdigest()[:16]}"
    else:
        built = f"commit {said('git', 'describe', '--always', '--dirty', '--abbrev=10')}"
    return f"{said(binary, '--version')} ({built})"


def kafka():
    pom = (ROOT / "tests" / "stack" / "kafka" / "pom.xml").read_text()
    found = re.search(r"<kafka.version>([^<]+)<", pom)
    return found[1] if found else "unknown"


def librdkafka():
    lock = (ROOT / "Cargo.lock").read_text()
    found = re.search(r'name = "rdkafka-sys"\nversion = "[^"+]*\+([^"]+)"', lock)
    return found[1] if found else "unknown"
