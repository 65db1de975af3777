"""The images that ours stand on: pulled, or, where that can't be done, made here under the same names.

What is made here is a *stand-in* (stand-ins/): Debian from its packages, with the programs that the real image is used
for. It is kept under `valve-test/…`, keyed by what it is made of, and has the real image's name while the tests run; in
a daemon that isn't ours that name is taken away again at the end.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine import Failure, Missing

FOLDER = Path(__file__).resolve().parent / "stand-ins"
DEBIAN = "valve-test/debian:bookworm"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PULL_WITHIN = 600  # seconds


@dataclass
class StandIn:
    """How an image is made: its Dockerfile, and what its context has besides. `fill` is given the folder to fill."""

    recipe: str
    fill: object = None
    version: str = ""

    def key(self):
        text = (FOLDER / f"{self.recipe}.Dockerfile").read_bytes() + self.version.encode()
        for file in sorted((FOLDER / self.recipe).glob("*")):
            text += file.name.encode() + b"\0" + file.read_bytes()
        return hashlib.sha256(text).hexdigest()[:16]


def copy(source, target):
    """Copies a file or a folder with the names that lead to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def rust(said=subprocess.check_output):
    """The Rust of this machine: compiler, cargo and the libraries of one target, with the configuration of cargo."""
    version = said(["rustc", "--version", "--verbose"], text=True)
    host = next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))
    root = Path(said(["rustc", "--print", "sysroot"], text=True).strip())
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")

    def fill(folder):
        libraries = [path.relative_to(root) for path in (root / "lib").glob("*.so*")]
        for part in ["bin/rustc", "bin/cargo", f"lib/rustlib/{host}", *libraries]:
            copy(root / part, folder / "toolchain" / part)
        (folder / "cargo").mkdir()
        for name in ["config.toml", "config"]:
            if (home / name).exists():
                copy(home / name, folder / "cargo" / name)

    configuration = [(home / name).read_text() for name in ["config.toml", "config"] if (home / name).exists()]
    return StandIn("rust", fill, version + "".join(configuration))


class Bases:
    """Makes sure that images are there, and takes borrowed names away again."""

    def __init__(self, engine, say):
        self.engine, self.say, self.borrowed = engine, say, []

    def need(self, image, stand_in):
        """An image by its real name. `stand_in` makes a `StandIn`, or is none where there is nothing to make it of."""
        if self.is_real(image) or self.pulled(image):
            return True
        if stand_in is None:
            return False
        made = stand_in()
        kept = f"valve-test/{made.recipe}:{made.key()}"
        if not self.engine.inspect(kept):
            self.make(kept, made)
        self.engine.ask("tag", kept, image)
        self.borrowed.append(image)
        self.say(f"{image} can't be pulled: a stand-in from {made.recipe}.Dockerfile has its place")
        return True

    def is_real(self, image):
        found = self.engine.inspect(image)
        return found is not None and not any(tag.startswith("valve-test/") for tag in found["RepoTags"])

    def pulled(self, image):
        if self.engine.inspect(image):
            return False  # a stand-in of an earlier run
        return self.engine.done("pull", "--quiet", image, timeout=PULL_WITHIN).returncode == 0

    def make(self, kept, made):
        self.need_debian()
        self.say(f"making {kept}")
        with tempfile.TemporaryDirectory(prefix="valve-image-") as folder:
            context = Path(folder)
            if made.fill:
                made.fill(context)
            if (FOLDER / made.recipe).is_dir():
                copy(FOLDER / made.recipe, context / "files")
            recipe = str(FOLDER / f"{made.recipe}.Dockerfile")
            self.engine.build(kept, context, "--file", recipe)
        if self.engine.ours:
            self.forget_others(kept)

    def forget_others(self, kept):
        """What this stand-in was before."""
        images = self.engine.ask("images", "--format", "{{.Repository}}:{{.Tag}}", kept.partition(":")[0]).split()
        for image in [image for image in images if image != kept]:
            self.engine.done("rmi", image)

    def need_debian(self):
        """Debian without anything, with the authorities of this machine: packages may come through a proxy of its own."""
        if self.engine.inspect(DEBIAN):
            return
        if shutil.which("debootstrap") is None or os.geteuid() != 0:
            raise Missing("images can't be pulled, and to make them takes `debootstrap` and root")
        self.say("making Debian")
        with tempfile.TemporaryDirectory(prefix="valve-debian-") as folder:
            root = Path(folder) / "root"
            command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Missing(f"images can't be pulled, nor can Debian be fetched: {done.stdout[-500:]}")
            if AUTHORITIES.exists():
                shutil.copy2(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
            packed = Path(folder) / "root.tar"
            subprocess.run(["tar", "--create", "--file", packed, "--directory", root, "."], check=True)
            self.engine.ask("import", str(packed), DEBIAN)

    def close(self):
        if not self.engine.ours:
            for image in self.borrowed:
                self.engine.done("rmi", "--no-prune", image)


def argument(dockerfile, name):
    """The default of an `ARG` of a Dockerfile."""
    for line in dockerfile.read_text().splitlines():
        if line.startswith(f"ARG {name}="):
            return line.partition("=")[2]
    raise Failure(f"{dockerfile} has no ARG {name}")
