"""Valve's image: built as the Dockerfile says, and held to what is promised of it."""

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

import bases
from engine import Failure

PROJECT = Path(__file__).resolve().parent.parent.parent
LARGEST = 60_000_000  # bytes
SHELLS = re.compile(r"(^|/)(sh|bash|dash|ash|zsh|busybox)$")
COMPILED = re.compile(r"Compiling ([\w-]+) v")
USER = "65532:65532"
# Planted where a build could pick it up; its like must be in no image.
SECRET = f"planted-{uuid.uuid4().hex}"
PLACES = [".env", ".aws/credentials", ".cargo/credentials.toml", "src/.env", "config/production.toml", "terraform.tfvars"]
LIMITS = ["--memory", "256m", "--memory-swap", "256m", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


def commit():
    """The commit of this checkout; zeros outside of git."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "0" * 40


def checkout(folder):
    """A copy of what a build is given, with secrets planted all over it."""
    ignored = shutil.ignore_patterns(".git", "target", "__pycache__", ".terraform")
    shutil.copytree(PROJECT, folder, ignore=ignored, symlinks=True)
    for place in PLACES:
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"secret = {SECRET}\n")
    return folder


class Build:
    """One image of valve, with what came of building it."""

    def __init__(self, engine, name, commit, profile):
        self.engine, self.commit, self.profile = engine, commit, profile
        self.image, self.stage = f"valve-test/valve:{name}", f"valve-test/build:{name}"
        self.said, self.seconds = "", 0.0

    def run(self, context):
        # The stage in which it is compiled has a name, too: so it can be looked into, and its layers stay for the next run.
        words = ["--build-arg", f"COMMIT={self.commit}", "--build-arg", f"PROFILE={self.profile}"]
        planted = {"AWS_SECRET_ACCESS_KEY": SECRET}
        begun = time.monotonic()
        self.said = self.engine.build(self.stage, context, "--target", "build", *words, environ=planted)
        self.said += self.engine.build(self.image, context, *words, environ=planted)
        self.seconds = time.monotonic() - begun
        return self

    def compiled(self):
        """The crates that were compiled, not taken from a layer that was there."""
        return set(COMPILED.findall(self.said))

    def size(self):
        return self.engine.inspect(self.image)["Size"]


def build_both(engine, profile, say):
    """Versions A, of this checkout, and B, of another commit with other sources; the second compiles nothing else."""
    with tempfile.TemporaryDirectory(prefix="valve-image-") as folder:
        context = checkout(Path(folder) / "valve")
        first = Build(engine, f"{profile}-a", commit(), profile).run(context)
        how = f"{len(first.compiled())} crates compiled" if first.compiled() else "all of it from layers that were there"
        say(f"built A in {first.seconds:.0f} s ({how}): {first.size() / 1e6:.1f} MB")
        with (context / "src" / "main.rs").open("a") as source:
            source.write(f"// {uuid.uuid4().hex}\n")
        second = Build(engine, f"{profile}-b", uuid.uuid4().hex + "0" * 8, profile).run(context)
        say(f"built B, with changed sources and another commit, in {second.seconds:.0f} s")
    if second.compiled() != {"valve"}:
        raise Failure(f"a change of the sources compiles {sorted(second.compiled())}, which isn't valve alone")
    engine.forget_replaced_images()
    return first, second


def hold(build, say):
    """Everything that is promised of an image without running it for long."""
    check_configuration(build)
    check_layers(build, say)
    check_build_stage(build)
    check_version(build)
    if build.profile == "dist" and build.size() >= LARGEST:
        raise Failure(f"the image has {build.size()} bytes, and {LARGEST} are too many")


def expect(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {found!r}, not {wanted!r}")


def crate_version():
    return re.search(r'(?m)^version = "(.*)"$', (PROJECT / "Cargo.toml").read_text())[1]


def check_configuration(build):
    image = build.engine.inspect(build.image)
    config = image["Config"]
    expect("user", config["User"], USER)
    expect("entry point", config["Entrypoint"], ["valve"])
    expect("command", config["Cmd"], ["run"])
    expect("health check", config["Healthcheck"]["Test"], ["CMD", "valve", "healthcheck"])
    expect("ports", list(config["ExposedPorts"]), ["8080/tcp"])
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    expect("label revision", labels["revision"], build.commit)
    expect("label version", labels["version"], crate_version())
    expect("label title", labels["title"], "valve")
    told = json.dumps(image) + build.engine.ask("history", "--no-trunc", build.image)
    if SECRET in told:
        raise Failure("the planted secret is in the image's configuration or history")


def check_layers(build, say):
    """No shell, no secret, the licence, and one program, in all layers of the image as it is sent to a registry."""
    names, leaks = [], []
    with tempfile.TemporaryDirectory(prefix="valve-image-") as folder:
        saved = Path(folder) / "image.tar"
        build.engine.ask("save", "--output", str(saved), build.image)
        with tarfile.open(saved) as image:
            manifest = json.load(image.extractfile("manifest.json"))[0]
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=image.extractfile(layer)) as files:
                    for file in files:
                        names.append(file.name)
                        if file.isfile() and SECRET.encode() in files.extractfile(file).read():
                            leaks.append(file.name)
    shells = [name for name in names if SHELLS.search(name)]
    if leaks or shells:
        raise Failure(f"in the image's layers: the planted secret in {leaks}, shells {shells}")
    for wanted in ["usr/local/bin/valve", "usr/lib/libgcc_s.so.1", "usr/share/doc/valve/LICENSE", "etc/ssl/certs/ca-certificates.crt"]:
        if wanted not in names:
            raise Failure(f"{wanted} isn't in the image")
    say(f"{len(manifest['Layers'])} layers with {len(names)} entries: no shell, no planted secret")


def check_build_stage(build):
    """Nor has the stage in which it was compiled the secrets that lay beside the sources."""
    look = ["run", "--rm", "--network", "none", *build.engine.label(), "--entrypoint", "sh", build.stage]
    search = "grep -rIlF --exclude-dir=target \"$0\" /build /root /tmp; env | grep -F \"$0\"; true"
    expect("the planted secret in the build stage", build.engine.ask(*look, "-c", search, SECRET), "")
    if "/build/Cargo.toml" not in build.engine.ask(*look, "-c", search, 'name = "valve"').splitlines():
        raise Failure("the search for the planted secret doesn't even find Cargo.toml")


def check_version(build):
    said = build.engine.ask("run", "--rm", "--network", "none", *build.engine.label(), *LIMITS, build.image, "--version")
    form = rf"valve {re.escape(crate_version())} \(commit {build.commit[:12]}, librdkafka \d+\.\d+\.\d+\)"
    if not re.fullmatch(form, said):
        raise Failure(f"`valve --version` says {said}")


def demo(build, say):
    """`valve demo` as README runs it, on a root file system that can't be written."""
    begun = time.monotonic()
    command = ["run", "--rm", "--network", "none", *build.engine.label(), *LIMITS, "--tmpfs", "/tmp"]
    done = build.engine.done(*command, build.image, "demo", "--records", "5000", "--rate", "1000", timeout=300)
    said = done.stdout + done.stderr
    if done.returncode != 0 or "VERIFIED" not in said:
        raise Failure(f"`valve demo` ended with {done.returncode}:\n{said[-3000:]}")
    say(f"`valve demo` stored 5,000 events and verified them in {time.monotonic() - begun:.0f} s")


def needed(base, dockerfile=PROJECT / "Dockerfile"):
    """Sees that the images are there on which valve's is built."""
    base.need(bases.argument(dockerfile, "BUILD_IMAGE"), bases.rust)
    base.need(bases.argument(dockerfile, "RUNTIME_IMAGE"), lambda: bases.StandIn("distroless"))
