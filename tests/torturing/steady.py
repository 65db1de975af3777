"""What processes hold while they run, looked at every few seconds, and whether it stays the same."""

import contextlib
import os
import re
import threading
import time
from dataclasses import dataclass, field

from confluent_kafka import KafkaException

EVERY = 5  # seconds
HELD = {"resident": "MiB", "handles": "open files and sockets", "threads": "threads"}
# Which part of the looks is to find no more than what is compared: the middle, but for open files. The client of the store has eight
# connections that come with uploads and go without, so their middle would tell how busy it was; a leak is above all of that.
PART = {"resident": 0.5, "handles": 0.9, "threads": 0.5}
# What the last sixth of the time may have more than the second, of each: a share, and something for the noise.
MORE = {"resident": (1.10, 4), "handles": (1.0, 4), "threads": (1.0, 1)}


@dataclass
class Held:
    """What one process held, by the seconds since the begin."""

    at: list = field(default_factory=list)
    resident: list = field(default_factory=list)  # MiB of its own: without its program's pages
    handles: list = field(default_factory=list)
    threads: list = field(default_factory=list)

    def look(self, now, pid):
        with open(f"/proc/{pid}/status") as status:
            found = dict(re.findall(r"(RssAnon|Threads):\s+(\d+)", status.read()))
        handles = len(os.listdir(f"/proc/{pid}/fd"))
        self.at.append(now)
        self.resident.append(int(found["RssAnon"]) / 1024)
        self.handles.append(handles)
        self.threads.append(int(found["Threads"]))

    def typical(self, what, begin, end):
        """What was held from `begin` to `end`, in seconds."""
        found = sorted(value for at, value in zip(self.at, getattr(self, what)) if begin <= at < end)
        return found[int(len(found) * PART[what])]

    def compared(self, lasting):
        """Of each kind: what was typical early and late, and whether that counts as the same."""
        sixth = lasting / 6
        for what, (share, noise) in MORE.items():
            early = self.typical(what, sixth, 2 * sixth)
            late = self.typical(what, 5 * sixth, lasting)
            yield what, early, late, late <= early * share + noise


class Watch(threading.Thread):
    """Looks at each living valve and at the group's lag until it is ended."""

    def __init__(self, valves, broker):
        super().__init__(daemon=True)
        self.valves, self.broker = valves, broker
        self.held, self.lag = {}, []  # by valve; (seconds, records)
        self.begun, self.ended = time.monotonic(), threading.Event()

    def now(self):
        return time.monotonic() - self.begun

    def run(self):
        while not self.ended.wait(EVERY):
            for valve in list(self.valves):
                # One that ends meanwhile has nothing to look at.
                with contextlib.suppress(OSError, KeyError):
                    self.held.setdefault(valve.number, Held()).look(self.now(), valve.process.pid)
            with contextlib.suppress(KafkaException):
                self.lag.append((self.now(), sum(self.broker.ends()) - sum(self.broker.committed())))

    def end(self):
        self.ended.set()
        self.join()
