"""docker-compose.yml brought up and looked at as README says under "Deploy it", command by command."""

import contextlib
import json
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import image
import surroundings
from engine import Failure

UP_WITHIN = 1800  # seconds, with what is built on the way
TURN_WITHIN = 120  # seconds until something that changes is seen
VALVES = {"holding-tank": "http://localhost:8082", "archive": "http://localhost:8083"}
PROMETHEUS, CONSUL = "http://localhost:9090", "http://localhost:8500"
# Who must be healthy before whom.
BEFORE = {
    "consul-seed": ["consul"],
    "producer": ["kafka", "registry"],
    "holding-tank": ["kafka", "registry", "s3"],
    "archive": ["kafka", "registry", "s3"],
    "prometheus": ["holding-tank", "archive"],
}
# What README has one run; each is run below.
COMMANDS = [
    "up --build", "exec archive valve audit", "exec archive valve deadletters list", "stop s3", "start s3",
    "exec s3 find /data/files/events",
]


class Compose:
    """`docker compose` on this project, under a name of its own."""

    def __init__(self, engine, profile):
        self.engine = engine
        plugin = engine.done("compose", "version").returncode == 0
        self.command = ["docker", "compose"] if plugin else ["docker-compose"]
        self.environ = engine.environ | {
            "COMPOSE_PROJECT_NAME": f"valve-test-{engine.run}", "COMMIT": image.commit(), "VALVE_PROFILE": profile,
            "VALVE_IMAGE": f"valve-test/compose:{profile}", "PRODUCER_IMAGE": "valve-test/producer:latest",
        }

    def done(self, *words, timeout=UP_WITHIN):
        return subprocess.run(
            [*self.command, *words], cwd=image.PROJECT, env=self.environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
        )

    def ask(self, *words):
        done = self.done(*words)
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-4000:]
            raise Failure(f"`docker compose {' '.join(words)}` exits with {done.returncode}:\n{said}")
        return done.stdout

    def exec(self, service, *words):
        """What a command in a service's container comes to; there is no terminal here."""
        return self.done("exec", "-T", service, *words, timeout=120)

    def services(self):
        return self.ask("config", "--services").split()

    def container(self, service):
        return self.engine.inspect(self.ask("ps", "--all", "-q", service).split()[0])

    def logs(self):
        """The end of what each service has said, for whoever looks for a failure."""
        return self.done("logs", "--tail", "15").stdout[-8000:]

    def down(self):
        self.done("down", "--volumes", "--timeout", "20")


def get(url):
    """Status and text; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait(what, condition, seconds=TURN_WITHIN):
    """Returns what the condition comes to once that is something."""
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > give_up:
            raise Failure(f"{what} wasn't so within {seconds} s")
        time.sleep(1)
    return found


def test(stack, engine, bases, profile, say):
    expect_commands_of_readme()
    missing = surroundings.needed(stack, bases, say)
    compose = Compose(engine, profile)
    try:
        bring_up(compose, missing, say)
        look_around(compose, say)
        lose_the_store(compose, say)
        leave(compose, say)
    except Failure as failure:
        raise Failure(f"{failure}\n{compose.logs()}") from failure
    finally:
        compose.down()


def expect_commands_of_readme():
    """The commands of README's section are those that are run here, so that neither can change alone."""
    text = (image.PROJECT / "README.md").read_text()
    section = re.search(r"\n## Deploy it\n(.*?)\n## ", text, re.DOTALL)[1]
    found = [re.sub(r"\s+#.*", "", line) for line in re.findall(r"(?m)^docker compose (.*)$", section)]
    image.expect("the commands under README's \"Deploy it\"", found, COMMANDS)


def bring_up(compose, missing, say):
    begun = time.monotonic()
    wanted = [service for service in compose.services() if service not in missing]
    with watched(compose.engine) as events:
        compose.ask("up", "--detach", "--build", *wanted)
        say(f"{len(wanted)} services were started in {time.monotonic() - begun:.0f} s, with what was built for them")
        with_health = [service for service in wanted if "Health" in compose.container(service)["State"]]
        for service in with_health:
            wait(f"{service} is healthy", lambda: compose.container(service)["State"]["Health"]["Status"] == "healthy")
    image.expect("exit code of consul-seed", compose.container("consul-seed")["State"]["ExitCode"], 0)
    check_order(compose, events)
    say(f"healthy, each started after what it needs was: {', '.join(with_health)}")


@contextlib.contextmanager
def watched(engine):
    """Collects what happens to containers meanwhile; asked later, the daemon remembers only the last few events."""
    events = []
    kinds = [word for kind in ("start", "die", "health_status") for word in ("--filter", f"event={kind}")]
    with tempfile.TemporaryFile("w+") as output:
        command = ["docker", "events", *kinds, "--format", "{{json .}}"]
        watching = subprocess.Popen(command, env=engine.environ, stdin=subprocess.DEVNULL, stdout=output)
        try:
            yield events
            time.sleep(1)  # the last event is on its way
        finally:
            watching.terminate()
            watching.wait()
        output.seek(0)
        events.extend(json.loads(line) for line in output)


def check_order(compose, events):
    """By the daemon's events, each service was started after those that it needs were healthy."""
    def first(service, action):
        container = compose.container(service)["Id"]
        found = [event["timeNano"] for event in events if event["id"] == container and event["Action"] == action]
        if not found:
            raise Failure(f"{service} has no event `{action}`")
        return min(found)

    for service, others in BEFORE.items():
        for other in others:
            if first(service, "start") < first(other, "health_status: healthy"):
                raise Failure(f"{service} was started before {other} was healthy")
    for valve in VALVES:
        if first(valve, "start") < first("consul-seed", "die"):
            raise Failure(f"{valve} was started before Consul had its keys")


def look_around(compose, say):
    for name, address in VALVES.items():
        page = get(f"{address}/")
        if page[0] != 200 or "<title>" not in page[1]:
            raise Failure(f"the page of {name} says {page[0]} {page[1][:200]}")
        wait(f"{name} is well and has files", lambda: status(address)["totals"]["files"] > 0 and ready(address))
    for command in ["exec archive valve audit", "exec archive valve deadletters list", "exec s3 find /data/files/events"]:
        say(f"`docker compose {command}`: {CHECKS[command](compose)}")
    wait("Prometheus has both valves", lambda: targets() == {f"{name}:8080": "up" for name in VALVES})
    say(f"Prometheus asks both, and has {rules(compose)} rules, of which ValveGone alone is about to fire")
    if not get(f"{CONSUL}/v1/kv/data-pipeline/compose/sink/bucket?raw") == (200, "events"):
        raise Failure("Consul doesn't have the keys that README names")


def status(address):
    code, text = get(f"{address}/api/status")
    return json.loads(text) if code == 200 else {"totals": {"files": 0}, "verdict": {"state": "none", "reasons": [text]}}


def ready(address):
    return get(f"{address}/readyz")[0] == 200


def audit(compose):
    done = compose.exec("archive", "valve", "audit")
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode != 0 or not last.startswith("PROVEN"):
        raise Failure(f"`valve audit` exits with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return last


def dead_letters(compose):
    """One in a thousand isn't Avro, so there is one every five seconds; a letter is there when its batch is committed."""
    def listed():
        done = compose.exec("archive", "valve", "deadletters", "list")
        return done.returncode == 0 and re.search(r"wire_header.*", done.stdout)

    return " ".join(wait("a dead letter is listed", listed)[0].split())


def files(compose):
    found = compose.exec("s3", "find", "/data/files/events").stdout
    counts = {name: len(re.findall(rf"(?m)^/data/files/events/{name}/(?:orders|page-views)/.*\.avro$", found)) for name in VALVES}
    if not all(counts.values()):
        raise Failure(f"files in the bucket: {counts}")
    return ", ".join(f"{count} files of {name}" for name, count in counts.items())


CHECKS = {
    "exec archive valve audit": audit,
    "exec archive valve deadletters list": dead_letters,
    "exec s3 find /data/files/events": files,
}


def targets():
    code, text = get(f"{PROMETHEUS}/api/v1/targets")
    active = json.loads(text)["data"]["activeTargets"] if code == 200 else []
    return {target["labels"]["instance"]: target["health"] for target in active}


def rules(compose):
    """How many there are, all of them loaded; only the one that README names has something to complain of."""
    done = compose.exec("prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    if done.returncode != 0:
        raise Failure(f"promtool says {done.stdout}{done.stderr}")
    wanted = set(re.findall(r"- alert: (\w+)", (image.PROJECT / "docker" / "prometheus-alerts.yml").read_text()))

    def evaluated():
        groups = json.loads(get(f"{PROMETHEUS}/api/v1/rules")[1])["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(rule["health"] == "ok" for rule in found) else None

    found = wait("the rules are evaluated", evaluated)
    image.expect("Prometheus's rules", {rule["name"] for rule in found}, wanted)
    image.expect("what fires or is about to", {rule["name"] for rule in found if rule["state"] != "inactive"}, {"ValveGone"})
    return len(found)


def lose_the_store(compose, say):
    """Without the store the pages say what they wait for; with it again, all goes on."""
    compose.ask("stop", "s3")
    for name, address in VALVES.items():
        wait(f"{name} isn't ready", lambda: not ready(address))
        reasons = wait(f"the page of {name} says so", lambda: status(address)["verdict"]["reasons"])
        if get(f"{address}/livez")[0] != 200 or compose.container(name)["RestartCount"]:
            raise Failure(f"{name} doesn't live without the store")
        say(f"without the store, {name} says: {reasons[0]}")
    before = {name: status(address)["totals"]["files"] for name, address in VALVES.items()}
    begun = time.monotonic()
    compose.ask("start", "s3")
    for name, address in VALVES.items():
        wait(f"{name} stores again", lambda: ready(address) and status(address)["totals"]["files"] > before[name])
    say(f"{time.monotonic() - begun:.0f} s after its start both store again; {audit(compose)}")


def leave(compose, say):
    """Stopped as the file says, a valve ends well within its time."""
    for name in VALVES:
        begun = time.monotonic()
        compose.ask("stop", name)
        state = compose.container(name)["State"]
        if state["ExitCode"] != 0 or state["OOMKilled"]:
            raise Failure(f"{name} stopped with {state['ExitCode']}, OOM {state['OOMKilled']}")
        say(f"{name} stopped by itself in {time.monotonic() - begun:.0f} s")
