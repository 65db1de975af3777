"""One measured process: valve from its start until all is committed, or a drain of the same topic."""

import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

GIVE_UP = 600  # seconds without an end: generous, since something is wrong then
NUMBER = itertools.count()
MIB = 1024 * 1024


class Failure(Exception):
    """A run that says nothing about speed."""


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Process:
    """A process with what it used up. It is reaped here, so that the kernel's own account of it is had."""

    def __init__(self, command, environ, log):
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        self.log_path = log
        self.usage = None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ended(self):
        """Its exit code; none while it runs."""
        if self.usage is None:
            pid, status, usage = os.wait4(self.popen.pid, os.WNOHANG)
            if pid == 0:
                return None
            self.usage = usage
            self.popen.returncode = os.waitstatus_to_exitcode(status)
        return self.popen.returncode

    def wait(self, limit):
        give_up = time.monotonic() + limit
        while self.ended() is None:
            if time.monotonic() > give_up:
                self.kill()
                raise Failure(f"doesn't end; it said:\n{self.log()[-2000:]}")
            time.sleep(0.01)
        return self.popen.returncode

    def kill(self):
        if self.ended() is None:
            self.popen.kill()
            while self.ended() is None:
                time.sleep(0.01)

    def cpu(self):
        """Seconds of all its threads, in user and system mode: while it runs by the clock's ticks, then exactly."""
        if self.usage is not None:
            return self.usage.ru_utime + self.usage.ru_stime
        stat = Path(f"/proc/{self.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field):
        """`VmHWM` (its peak so far) or `VmRSS` in MiB."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(re.search(rf"{field}:\s*(\d+) kB", status)[1]) / 1024


class Group:
    """How far a consumer group has come in a topic."""

    def __init__(self, group, topic, kind):
        self.partitions = [TopicPartition(topic, partition) for partition in range(kind.partitions)]
        servers = {"bootstrap.servers": os.environ["VALVE_TEST_KAFKA"], "log_level": 2}
        self.client = Consumer({**servers, "group.id": group, "enable.auto.commit": False})
        self.end = kind.records  # nobody else writes to the topic, and nothing is left out

    def committed(self):
        """How many records are committed."""
        with contextlib.suppress(KafkaException):  # a young cluster has no coordinator for a while
            return sum(max(0, partition.offset) for partition in self.client.committed(self.partitions, timeout=30))
        return 0

    def close(self):
        self.client.close()


class Valve:
    """A valve of its own group and prefix, with these settings beside those that make it end."""

    def __init__(self, topic, sink, keep=None, **settings):
        self.name = f"bench-{os.getpid()}-{next(NUMBER)}"
        self.keep = keep
        self.work = Path(os.environ["BENCH_WORK"])
        self.files = self.work / "local" / self.name
        environ = self.environ(topic, sink)
        environ.update({f"VALVE_{name}": str(value) for name, value in settings.items()})
        self.process = Process([os.environ["BENCH_VALVE"], "run"], environ, self.work / f"{self.name}.log")

    def environ(self, topic, sink):
        environ = {
            "VALVE_NAME": self.name,
            "VALVE_TOPICS": topic,
            "VALVE_KAFKA__BOOTSTRAP_SERVERS": os.environ["VALVE_TEST_KAFKA"],
            "VALVE_REGISTRY__URL": os.environ["VALVE_TEST_REGISTRY"],
            "VALVE_TIMESTAMP": "field:at",
            # The last batches of a topic that nobody writes to any more end after this, not after two minutes.
            "VALVE_BATCH__MAX_IDLE": "500ms",
            "VALVE_HTTP__LISTEN": "127.0.0.1:0",
        }
        if sink == "local":
            return {**environ, "VALVE_SINK__TYPE": "local", "VALVE_SINK__PATH": str(self.files)}
        self.files = self.work / "s3" / "objects" / os.environ["VALVE_TEST_S3_BUCKET"] / self.name
        return {
            **environ,
            "VALVE_SINK__BUCKET": os.environ["VALVE_TEST_S3_BUCKET"],
            "VALVE_SINK__PREFIX": self.name,
            "VALVE_SINK__ENDPOINT": os.environ["VALVE_TEST_S3_ENDPOINT"],
            "VALVE_SINK__PATH_STYLE": "true",
            "VALVE_SINK__REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": os.environ["VALVE_TEST_S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": os.environ["VALVE_TEST_S3_SECRET_KEY"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def first(self, message):
        """When a line of its log first said this, in seconds since 1970; none before."""
        for line in self.process.log().splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if said["message"] == message:
                    return datetime.fromisoformat(said["timestamp"].replace("Z", "+00:00")).timestamp()
        return None

    def wait(self, what, done, limit, every=0.02):
        give_up = time.monotonic() + limit
        while not done():
            if self.process.ended() is not None:
                raise Failure(f"valve ended before {what}; it said:\n{self.process.log()[-2000:]}")
            if time.monotonic() > give_up:
                return False
            time.sleep(every)
        return True

    def stored(self):
        """Its files: rows by their names, and how many there are in the fullest hour."""
        rows, files, fullest = 0, 0, 0
        for _folder, _folders, names in os.walk(self.files):
            counts = [int(found[1]) for name in names if (found := re.search(r"_(\d+)-messages_", name))]
            rows, files, fullest = rows + sum(counts), files + len(counts), max(fullest, len(counts))
        return {"rows": rows, "files": files, "fullest_hour": fullest}

    def stop(self):
        """SIGTERM; how long it took to leave."""
        begun = time.monotonic()
        self.process.popen.terminate()
        code = self.process.wait(120)
        if code != 0:
            raise Failure(f"valve exited with {code}; it said:\n{self.process.log()[-2000:]}")
        return time.monotonic() - begun

    def clear(self):
        """Kills it if it still runs, and removes what it has stored."""
        self.process.kill()
        if self.keep:
            Path(self.keep).mkdir(parents=True, exist_ok=True)
            shutil.copy(self.process.log_path, self.keep)
        self.process.log_path.unlink(missing_ok=True)
        shutil.rmtree(self.files, ignore_errors=True)


def run_valve(kind, topics, sink="s3", limit=GIVE_UP, keep=None, **settings):
    """A valve that takes a whole topic: what it used up and what it stored."""
    topic = topics.load(kind)
    valve = Valve(topic, sink, keep, **settings)
    group = Group(valve.name, topic, kind)
    try:
        committed = valve.wait("all was committed", lambda: group.committed() >= group.end, limit, 0.05)
        ended, begun = time.time(), valve.first("consuming")
        peak, share = valve.process.memory("VmHWM"), group.committed() / max(1, group.end)
        if committed:
            valve.stop()
        else:
            valve.process.kill()
        stored = valve.stored()
    finally:
        valve.clear()
        group.close()
    cpu, wall = valve.process.cpu(), ended - (begun or ended)
    figures = {"peak_mib": peak, "cpu_s": cpu, "wall_s": wall, **stored}
    if not committed:
        return {**figures, "wrong": f"{share:.0%} committed after {limit} s"}
    if stored["rows"] != kind.records:
        figures["wrong"] = f"{stored['rows']} rows of {kind.records} records"
    return {**figures, "per_second": kind.records / wall, "per_cpu_second": kind.records / cpu}


def run_floor(kind, topics, take, codec="drop", properties=()):
    """A drain of a whole topic, measured in the same way."""
    log = Path(os.environ["BENCH_WORK"]) / f"floor-{next(NUMBER)}.log"
    command = [
        os.path.join(os.environ["BENCH_BUILT"], "floor"), "--brokers", os.environ["VALVE_TEST_KAFKA"],
        "--topic", topics.load(kind), "--take", take, "--codec", codec, *(f"-X{each}" for each in properties),
    ]
    process = Process(command, os.environ, log)
    try:
        code, said = process.wait(GIVE_UP), process.log()
    finally:
        process.kill()
        log.unlink(missing_ok=True)
    if code != 0:
        raise Failure(f"the drain exited with {code}:\n{said}")
    drained = json.loads(said.splitlines()[-1])
    if drained["records"] != kind.records:
        raise Failure(f"the drain found {drained['records']} records of {kind.records}")
    cpu = process.cpu()
    return {"per_cpu_second": kind.records / cpu, "per_second": kind.records / drained["seconds"], "cpu_s": cpu,
            "wall_s": drained["seconds"]}
