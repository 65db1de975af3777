"""What is injected, where, and what must be seen of it meanwhile."""

from dataclasses import dataclass
from typing import Callable

from cluster import CoordinatorLost, RollingRestart
from faults import Answers, Refused, Toxic, WrongClock

HOUR = 3600  # seconds
DOWN, UP = "downstream", "upstream"  # from the service to valve, from valve to the service
SLOW_DOWN = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
TAKEN = "<Error><Code>PreconditionFailed</Code><Message>At least one of the conditions did not hold</Message></Error>"
FORBIDDEN = '{"error_code": 40301, "message": "Forbidden"}'


@dataclass(frozen=True)
class Case:
    """One fault before one dependency."""

    # kafka, registry, s3, consul, disk, dns, clock, or cluster: three brokers
    target: str
    injected: str
    # Makes the fault of the place where it is injected: connections, an HTTP proxy, or (disk, dns) the fault itself.
    fault: Callable
    # What a line of /readyz must begin with while it lasts; nothing: valve must go on committing.
    shows: str | None
    # Part of the short run, too.
    short: bool = False
    # Whether the fault is an answer, not something that happens to connections.
    over_http: bool = False
    # Seconds that it lasts even when less is asked for: until valve takes the silence for a failure, or has got over it.
    at_least: float = 0

    def __str__(self):
        return f"{self.target}: {self.injected}"

    @property
    def from_the_start(self):
        """Registry and Consul are asked at the start: valve is started when the fault is there already."""
        return self.target in ("registry", "consul")

    @property
    def own_mounts(self):
        return self.target in ("disk", "dns")


def connections(target, short=(), shows=None, silence=0):
    """What may happen to any service's connections. A service that is silent for `silence` seconds is in trouble."""

    def case(name, injected, fault):
        shown = None if name == "latency" else shows or target
        at_least = silence if name in ("blackhole", "half-open") else 0
        return Case(target, injected, fault, shown, name in short, at_least=at_least)

    return [
        case("latency", "answers 1.0 to 1.5 s late", lambda at: Toxic(at, "latency", DOWN, latency=1250, jitter=250)),
        case("refused", "connections refused", lambda at: Refused(at)),
        case("reset", "connections reset", lambda at: Toxic(at, "reset_peer", DOWN, timeout=0)),
        case("blackhole", "requests vanish, connections stay open", lambda at: Toxic(at, "timeout", UP, timeout=0)),
        case("half-open", "answers vanish, connections stay open", lambda at: Toxic(at, "timeout", DOWN, timeout=0)),
        case("cut", "connections cut after 60 bytes of answer", lambda at: Toxic(at, "limit_data", DOWN, bytes=60)),
    ]


def answers(target, injected, methods, status, text, short=False):
    shows = "sink" if target == "s3" else target
    return Case(target, injected, lambda at: Answers(at, methods, status, text), shows, short, over_http=True)


def wrong_clock(injected, seconds, shows="sink", short=False):
    """S3 refuses who is more than 15 minutes away from it."""
    return Case("clock", injected, lambda at: WrongClock(at, seconds), shows, short)


def every_case():
    return [
        *connections("kafka", short=("reset",)),
        Case("kafka", "answers at 20 kB/s", lambda at: Toxic(at, "bandwidth", DOWN, rate=20), None),
        *connections("s3", short=("cut",), shows="sink", silence=40),
        Case("s3", "uploads at 2 kB/s", lambda at: Toxic(at, "bandwidth", UP, rate=2), None),
        Case("s3", "connections cut after 900 bytes of request", lambda at: Toxic(at, "limit_data", UP, bytes=900), "sink"),
        Case("s3", "connections closed 2 s late", lambda at: Toxic(at, "slow_close", DOWN, delay=2000), None),
        answers("s3", "503 SlowDown", ["PUT", "POST"], 503, SLOW_DOWN, short=True),
        answers("s3", "403 AccessDenied", ["PUT", "HEAD"], 403, DENIED),
        answers("s3", "412 to each PUT, though nothing is there", ["PUT"], 412, TAKEN),
        *connections("registry", short=("cut",), silence=40),
        answers("registry", "403", ["GET"], 403, FORBIDDEN),
        *connections("consul", short=("refused",)),
        answers("consul", "403", ["GET"], 403, "Permission denied"),
        Case("disk", "the local sink's disk full", lambda at: at, "sink", short=True),
        Case("dns", "the store's name doesn't resolve", lambda at: at, "sink"),
        wrong_clock("set an hour forward, then back", HOUR, short=True),
        wrong_clock("set an hour back, then forward", -HOUR),
        wrong_clock("set a day forward, then back", 24 * HOUR),
        wrong_clock("set ten minutes back, then forward", -HOUR // 6, shows=None),
        Case("cluster", "each of three brokers restarted in turn", lambda at: RollingRestart(at.brokers), None),
        # The others miss it after nine seconds, and the group's members are gone after their session, six seconds.
        Case("cluster", "the group's coordinator killed", lambda at: CoordinatorLost(at.brokers, at.name), None, at_least=40),
    ]
