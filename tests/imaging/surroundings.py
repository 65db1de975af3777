"""The images of docker-compose.yml besides valve's, with what their stand-ins are made of: the services of the tests."""

import re
from pathlib import Path

import image
from bases import StandIn, copy

PIP = Path("/etc/pip.conf")


def of_a_service(recipe, service, parts):
    """A stand-in from a service of tests/stack/: `parts` says which of its files go into which folder of the context."""
    def fill(folder):
        for source, target in parts.items():
            for found in service.installed().glob(source):
                copy(found, folder / target / found.name)

    return StandIn(recipe, fill, service.key())


def python():
    """The base of the producer, with this machine's configuration of pip."""
    text = PIP.read_text() if PIP.exists() else ""
    return StandIn("python", lambda folder: (folder / "pip.conf").write_text(text), text)


def stand_ins(stack):
    """By the variable of docker-compose.yml that names the image."""
    services = {service.name: service for service in stack.services()}
    return {
        "KAFKA_IMAGE": lambda: of_a_service("kafka", services["kafka"], {"jars/*": "jars"}),
        "REGISTRY_IMAGE": lambda: of_a_service("registry", services["registry"], {"*.jar": "registry", "lib": "registry"}),
        "S3_IMAGE": lambda: of_a_service("s3", services["s3"], {"versitygw*": "programs"}),
        "CONSUL_IMAGE": lambda: of_a_service("consul", services["consul"], {"consul*": "programs"}),
        "PROMETHEUS_IMAGE": lambda: StandIn("prometheus"),
        "PRODUCER_BASE_IMAGE": python,
        "GRAFANA_IMAGE": None,  # neither Debian nor another registry has it in a form that may be taken
    }


def needed(stack, bases, say):
    """Sees that the images are there; returns the services that are left out for want of theirs."""
    text = (image.PROJECT / "docker-compose.yml").read_text()
    named = dict(re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", text))
    missing = []
    for variable, stand_in in stand_ins(stack).items():
        if not bases.need(named[variable], stand_in):
            say(f"{named[variable]} can't be had, so it is left out")
            missing.append(variable.removesuffix("_IMAGE").lower())
    return missing

