"""Every fault of cases.py, each into a valve of its own, several at once; then the table.

    run.py --valve BINARY [--short] [--only TEXT] [--seconds 20] [--at-once 3] [--logs FOLDER] [--table FILE]

Exits with 0 only if every trial came out well. Needs the services' addresses (tests/stack/) in its environment;
tests/torture starts them.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "killing"))

import shown
import table
from cases import every_case

GIVE_UP = 400  # seconds: what hangs is ended


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--valve", required=True, help="the binary")
    parser.add_argument("--short", action="store_true", help="a few of the faults, for a few seconds")
    parser.add_argument("--only", default="", help="those whose text has this in it: s3: 503")
    parser.add_argument("--seconds", type=float, help="how long each fault lasts; 20, or 8 of the short run")
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--logs", type=Path, help="keep what the valves say there")
    parser.add_argument("--table", type=Path, help="write the table there")
    return parser.parse_args()


def own_mounts_possible():
    """Whether this process may mount, in a namespace of its own, what nobody else sees."""
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "valve-torture", "/mnt"]
    try:
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Run:
    def __init__(self, options):
        self.options = options
        self.begun = time.monotonic()
        self.logs = options.logs or Path(tempfile.mkdtemp(prefix="valve-torture-"))
        self.lasting = options.seconds or (8 if options.short else 20)
        self.skipped, self.outcomes = [], {}
        self.waiting = queue.SimpleQueue()
        # Kafka's brokers lead their clients through one proxy, so its faults come one after the other.
        self.kafka = queue.SimpleQueue()
        self.choose()

    def choose(self):
        mounts = own_mounts_possible()
        for number, case in enumerate(every_case()):
            if self.options.only not in str(case) or self.options.short and not case.short:
                continue
            if case.own_mounts and not mounts:
                self.skipped.append(f"{case}: this takes a mount namespace, which only root may have")
                continue
            (self.kafka if case.target == "kafka" else self.waiting).put((number, case))

    def work(self, cases):
        while not cases.empty():
            try:
                number, case = cases.get_nowait()
            except queue.Empty:
                return
            self.outcomes[number] = outcome = self.try_out(number, case)
            verdict = "; ".join(outcome["failures"]) or "well"
            print(f"[{time.monotonic() - self.begun:5.0f}] {case}: {verdict}", flush=True)

    def try_out(self, number, case):
        logs = self.logs / f"{number:02}"
        logs.mkdir(parents=True)
        command = [sys.executable, "-B", "-W", "ignore", str(FOLDER / "trial.py")]
        command += [str(number), str(self.lasting), self.options.valve, str(logs)]
        if case.own_mounts:
            command = ["unshare", "--mount", *command]
        with (logs / "trial.log").open("w") as log:
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, timeout=GIVE_UP, check=False)
                return json.loads(done.stdout)
            except (ValueError, subprocess.TimeoutExpired) as error:
                return {"target": case.target, "injected": case.injected, "failures": [f"no outcome: {error}"]}

    def run(self):
        others = [self.waiting] * max(1, self.options.at_once - 1)
        workers = [threading.Thread(target=self.work, args=[cases]) for cases in [self.kafka, *others]]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for line in self.skipped:
            print(f"skipped {line}")
        outcomes = [self.outcomes[number] for number in sorted(self.outcomes)]
        if self.options.table:
            self.options.table.write_text(table.page(outcomes, self.skipped, time.monotonic() - self.begun))
        failed = [outcome for outcome in outcomes if outcome["failures"]]
        print(f"{len(outcomes)} faults, {len(failed)} not well, {len(self.skipped)} skipped")
        if failed or not outcomes:
            print(f"FAILED; the logs are in {self.logs}")
            return 1
        if not self.options.logs:
            shutil.rmtree(self.logs)
        return 0


def main():
    options = arguments()
    if "VALVE_TEST_TOXIPROXY" not in os.environ:
        sys.exit("VALVE_TEST_TOXIPROXY isn't set: tests/torture or tests/run starts the services")
    if shown.missing():
        sys.exit(f"shown.py names tests that don't exist: {', '.join(shown.missing())}")
    return Run(options).run()


if __name__ == "__main__":
    sys.exit(main())
