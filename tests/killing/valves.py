"""Valve's real binary as processes: started, killed, frozen, thawed, stopped; what each said is in a file of its own."""

import ctypes
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

POINTS = ["filling", "promised", "stored", "published", "committed"]


def settings(name, topic, protocol):
    """Small batches, so that promises, files and commits are always under way; failures noticed in seconds."""
    environ = os.environ
    chosen = {
        "VALVE_NAME": name,
        "VALVE_TOPICS": topic,
        "VALVE_TOPICS_REFRESH": "5s",
        "VALVE_KAFKA__BOOTSTRAP_SERVERS": environ["VALVE_TEST_KAFKA"],
        "VALVE_GROUP__PROTOCOL": "consumer" if protocol == "consumer" else "classic",
        "VALVE_REGISTRY__URL": environ["VALVE_TEST_REGISTRY"],
        "VALVE_TIMESTAMP": "field:at",
        "VALVE_SINK__BUCKET": environ["VALVE_TEST_S3_BUCKET"],
        "VALVE_SINK__PREFIX": name,
        "VALVE_SINK__ENDPOINT": environ["VALVE_TEST_S3_ENDPOINT"],
        "VALVE_SINK__PATH_STYLE": "true",
        "VALVE_SINK__REGION": "us-east-1",
        "VALVE_BATCH__MAX_AGE": "3s",
        "VALVE_BATCH__MAX_IDLE": "1s",
        "VALVE_MEMORY__BUDGET": "256MiB",
        "VALVE_HTTP__LISTEN": "127.0.0.1:0",
        "AWS_ACCESS_KEY_ID": environ["VALVE_TEST_S3_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": environ["VALVE_TEST_S3_SECRET_KEY"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if protocol == "eager":
        chosen["VALVE_GROUP__ASSIGNMENT"] = "range"
    if protocol != "consumer":  # otherwise the broker says
        chosen["VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS"] = "6000"
        chosen["VALVE_KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS"] = "1000"
    return chosen


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Valve:
    """One process. `fault` says where it aborts or stands still (src/fault_point.rs; needs that feature)."""

    def __init__(self, number, binary, environ, logs, fault=None, hold=False):
        self.number, self.fault = number, fault
        self.log_path = logs / f"valve-{number:03}.log"
        self.hold_path = logs / f"valve-{number:03}.go-on" if hold else None
        self.frozen_until = None
        environ = dict(environ)
        if fault:
            environ["FAULT_POINT"] = fault + (f":hold={self.hold_path}" if hold else "")
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [binary, "run"], env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )

    def __str__(self):
        armed = f" (to {'stand still' if self.hold_path else 'die'} at {self.fault})" if self.fault else ""
        return f"valve {self.number}{armed}"

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ended(self):
        """Its exit code, negative for a signal; none while it runs."""
        return self.process.poll()

    def died_at_its_fault_point(self):
        return self.fault and self.ended() == -signal.SIGABRT

    def stands_still(self):
        return self.hold_path is not None and not self.hold_path.exists() and "fault point reached" in self.log()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self, until):
        self.frozen_until = until
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.go_on()
        self.frozen_until = None
        self.process.send_signal(signal.SIGCONT)

    def go_on(self):
        """Lets it leave the point where it stands still."""
        if self.hold_path:
            self.hold_path.touch()

    def terminate(self):
        self.process.terminate()

    def peak_of_its_own(self):
        """The most memory it has had resident, without its program's pages, in bytes (Linux)."""
        status = open(f"/proc/{self.process.pid}/status").read()
        peak, program = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) for name in ("VmHWM", "RssFile"))
        return (peak - program) << 10

    def address(self):
        """The URL of its HTTP server, once it has said it; while it waits for Consul, that is another one."""
        found = re.findall(r"listening on (http://[\d.:]+)", self.log())
        return found[-1] if found else None

    def unready_because(self):
        """What /readyz complains of; nothing when it is ready."""
        if not self.address():
            return "has no address yet"
        try:
            with urllib.request.urlopen(f"{self.address()}/readyz", timeout=5):
                return None
        except urllib.error.HTTPError as error:
            return error.read().decode().strip()
        except OSError as error:
            return f"doesn't answer: {error}"

    def events(self):
        """Its log lines as dictionaries: level, message and what else they carry."""
        for line in self.log().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                yield {"level": "ERROR", "message": line}  # a panic, or a library that writes by itself
