"""The `docker` program, pointed at one daemon. Nothing that it starts outlives the run."""

import json
import os
import re
import subprocess
import uuid

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Failure(Exception):
    """Something that the reader has to know about; shown without a traceback."""


class Missing(Exception):
    """What keeps images from being tested on this machine at all."""


class Engine:
    """One daemon. `host` is where it listens, none for the one that `docker` finds by itself; `ours`, whether we started it."""

    def __init__(self, host=None, ours=False, run=None):
        self.ours = ours
        self.run = run or uuid.uuid4().hex[:8]
        self.environ = os.environ | ({"DOCKER_HOST": host} if host else {})
        # BuildKit is a part of clients before 23 and of the plugin buildx after that.
        modern = self.done("buildx", "version").returncode == 0
        self.environ["DOCKER_BUILDKIT"] = "1" if modern else "0"

    def done(self, *words, timeout=600, **options):
        """Runs `docker` with these words to its end, whatever comes of it."""
        return subprocess.run(
            ["docker", *words], env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=timeout, check=False, **options,
        )

    def ask(self, *words, **options):
        """What `docker` with these words prints; raises if it fails."""
        done = self.done(*words, **options)
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-4000:]
            raise Failure(f"`docker {' '.join(words)[:200]}` exited with {done.returncode}:\n{said}")
        return done.stdout.strip()

    def answers(self):
        return self.done("version", "--format", "{{.Server.Version}}", timeout=30).returncode == 0

    def inspect(self, thing):
        """An image or a container as a dictionary; none if there is no such thing."""
        done = self.done("inspect", thing)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def build(self, image, context, *words, environ=None):
        """Builds an image on the machine's own network; returns what was said meanwhile."""
        # What is said goes to both streams, and into the log in the order in which it came.
        command = ["docker", "build", "--network", "host", "--tag", image, *words, str(context)]
        environ = self.environ | {"BUILDKIT_PROGRESS": "plain"} | (environ or {})
        done = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )
        said = COLOURS.sub("", done.stdout)
        if done.returncode != 0:
            raise Failure(f"{image} can't be built:\n{said[-6000:]}")
        return said

    def label(self):
        """Marks a container as one of this run."""
        return ["--label", f"valve-test={self.run}"]

    def remove_containers(self):
        containers = self.done("ps", "--all", "--quiet", "--filter", f"label=valve-test={self.run}").stdout.split()
        if containers:
            self.done("rm", "--force", "--volumes", *containers)

    def forget_replaced_images(self):
        """In a daemon of our own: what earlier runs built, and nothing refers to any more."""
        if self.ours:
            self.done("image", "prune", "--force")
