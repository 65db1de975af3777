"""Valve as a container: started, asked for its health, stopped as an orchestrator does it; what it used of its memory."""

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import services
from engine import Failure
from image import LIMITS

LIMIT = 256 << 20  # bytes, as image.LIMITS says
GRACE = 100  # seconds after SIGTERM until it is killed: above shutdown.deadline
HEALTHY_WITHIN = 60  # seconds
HEALTH = ["--health-interval", "1s", "--health-start-period", "30s"]


class Container:
    """One container of an image, on the machine's network, where the tests' services are."""

    def __init__(self, engine, image, environ):
        self.engine = engine
        self.address = f"127.0.0.1:{services.free_port()}"
        environ = environ | {"VALVE_HTTP__LISTEN": self.address}
        variables = [word for name, value in environ.items() for word in ("--env", f"{name}={value}")]
        words = ["run", "--detach", "--network", "host", *engine.label(), *LIMITS, *HEALTH, *variables, image]
        self.begun = time.monotonic()
        self.id = engine.ask(*words)
        self.name = f"{image.rpartition(':')[2]} {self.id[:8]}"

    def __str__(self):
        return self.name

    def state(self):
        return self.engine.inspect(self.id)["State"]

    def wait_until_healthy(self):
        """Seconds since its start until the image's own health check was content."""
        while True:
            state = self.state()
            if state["Health"]["Status"] == "healthy":
                return time.monotonic() - self.begun
            if not state["Running"] or time.monotonic() - self.begun > HEALTHY_WITHIN:
                raise Failure(f"{self} isn't healthy after {HEALTHY_WITHIN} s but {state['Status']}:\n{self.log()[-3000:]}")
            time.sleep(0.25)

    def stop(self):
        """SIGTERM, and SIGKILL after the grace period; returns the seconds that it took. It must end well, of itself."""
        begun = time.monotonic()
        self.engine.ask("stop", "--time", str(GRACE), self.id)
        took, state = time.monotonic() - begun, self.state()
        if state["ExitCode"] != 0 or state["OOMKilled"]:
            raise Failure(f"{self} stopped with {state['ExitCode']}, OOM {state['OOMKilled']}:\n{self.log()[-3000:]}")
        return took

    def unready_because(self):
        """What /readyz complains of; nothing when it is ready."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5):
                return None
        except urllib.error.HTTPError as error:
            return error.read().decode().strip()
        except OSError as error:
            return f"doesn't answer: {error}"

    def log(self):
        done = self.engine.done("logs", self.id)
        return done.stdout + done.stderr

    def errors(self):
        """What it said that is an error."""
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event["level"] == "ERROR" and event["target"].startswith("valve"):
                    yield line

    def status(self):
        with urllib.request.urlopen(f"http://{self.address}/api/status", timeout=5) as answer:
            return json.load(answer)

    def memory_limit(self):
        """What valve itself takes for its limit, in bytes."""
        return self.status()["memory"]["limit_bytes"]

    def files(self):
        """How many it has stored."""
        return self.status()["totals"]["files"]

    def peaks(self):
        """The most bytes that it had resident, and that were charged to its control group; none where it can't be seen."""
        process = self.state()["Pid"]
        try:
            status = Path(f"/proc/{process}/status").read_text()
            return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10, peak_of_group(process)
        except OSError:
            return None, None


def peak_of_group(process):
    """By cgroup v2, or v1's `memory` hierarchy."""
    for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        version_1 = Path(f"/sys/fs/cgroup/memory{group}/memory.max_usage_in_bytes")
        version_2 = Path(f"/sys/fs/cgroup{group}/memory.peak")
        for file in [version_1] if controllers == "memory" else [version_2] if not controllers else []:
            if file.exists():
                return int(file.read_text())
    return None
