"""Where a fault is injected: what stands between valve and a service, and the settings that lead valve there."""

import json
import os
import urllib.request
from urllib.parse import urlsplit

import judge
from faults import Clock, Connections, FullDisk, HttpProxy, LostName
from traffic import Traffic


class Arrivals(Traffic):
    """Records that are stored under the hour that valve's clock shows when they arrive."""

    def __init__(self, like, clock):
        super().__init__(like.records, like.partitions)
        self.hours, self.wrong_hours = clock.hours()

    def belongs(self, _record, hour):
        return hour in self.hours


class Place:
    """One trial's way to the service in question: `at` is what the fault is made of."""

    def __init__(self, case, name, environ, folder, brokers):
        self.name, self.environ, self.folder, self.brokers = name, environ, folder, brokers
        self.files = judge.Bucket(f"{name}/")
        self.connections = self.moved = None
        self.at = getattr(self, case.target)(case)

    def between(self, address, case):
        """Something in front of host:port, and where it listens."""
        if case.over_http:
            proxy = HttpProxy(address)
            return proxy, proxy.address
        self.connections = Connections(self.name, address)
        return self.connections, self.connections.address

    def kafka(self, _case):
        # The broker tells its clients to come this way, so only one trial at a time can have it.
        listen = os.environ["VALVE_TEST_KAFKA_PROXY"]
        self.connections = Connections(self.name, os.environ["VALVE_TEST_KAFKA_PROXIED"], listen)
        self.environ["VALVE_KAFKA__BOOTSTRAP_SERVERS"] = listen
        return self.connections

    def cluster(self, _case):
        return self

    def s3(self, case):
        return self.lead_to("VALVE_SINK__ENDPOINT", os.environ["VALVE_TEST_S3_ENDPOINT"], case)

    def registry(self, case):
        return self.lead_to("VALVE_REGISTRY__URL", os.environ["VALVE_TEST_REGISTRY"], case)

    def lead_to(self, setting, url, case):
        real = urlsplit(url)
        between, address = self.between(real.netloc, case)
        self.environ[setting] = real._replace(netloc=address).geturl()
        return between

    def consul(self, case):
        """Some of the settings are there, so that none of them can be missed."""
        moved = {"sink/bucket": "VALVE_SINK__BUCKET", "registry/url": "VALVE_REGISTRY__URL"}
        for key, variable in moved.items():
            self.put_in_consul(f"data-pipeline/{self.name}/{key}", self.environ.pop(variable))
        between, address = self.between(urlsplit(os.environ["VALVE_TEST_CONSUL"]).netloc, case)
        self.environ["VALVE_ENVIRONMENT"] = self.name
        self.environ["CONSUL_HTTP_ADDR"] = f"http://{address}"
        self.environ["CONSUL_HTTP_TOKEN"] = os.environ["VALVE_TEST_CONSUL_TOKEN"]
        return between

    @staticmethod
    def put_in_consul(key, value):
        asked = urllib.request.Request(
            f"{os.environ['VALVE_TEST_CONSUL']}/v1/kv/{key}", value.encode(), method="PUT",
            headers={"X-Consul-Token": os.environ["VALVE_TEST_CONSUL_TOKEN"]},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer) is True

    def disk(self, _case):
        store = self.folder / "store"
        store.mkdir()
        for variable in [variable for variable in self.environ if variable.startswith("VALVE_SINK__")]:
            del self.environ[variable]
        disk = FullDisk(store)
        self.environ |= {"VALVE_SINK__TYPE": "local", "VALVE_SINK__PATH": str(store)}
        self.files = judge.Folder(store)
        return disk

    def dns(self, case):
        self.s3(case)
        port = urlsplit(self.environ["VALVE_SINK__ENDPOINT"]).port
        self.environ["VALVE_SINK__ENDPOINT"] = f"http://{LostName.HOST}:{port}"
        return LostName(self.folder, self.connections)

    def clock(self, _case):
        self.environ["VALVE_TIMESTAMP"] = "processing"
        self.moved = Clock(self.folder)
        self.environ |= self.moved.environ
        return self.moved

    def judge(self, letters, produced, schema_ids):
        """What is stored and dead-lettered, compared with what was produced."""
        if not self.moved:
            return judge.judge(self.files, letters, produced, schema_ids)
        arrivals = Arrivals(produced, self.moved)
        found = judge.judge(self.files, letters, arrivals, schema_ids)
        if not any(hour in key for hour in arrivals.wrong_hours for key in self.files.keys()):
            found.wrong.append("nothing is stored under the hour that the wrong clock showed")
        return found

    def remove(self):
        if self.connections:
            self.connections.remove()
