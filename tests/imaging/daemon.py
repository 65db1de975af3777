"""A Docker daemon: the one that answers, or one of our own for as long as it is needed.

Our own keeps its images in the tests' cache, so that the base images are made once. It needs root and an overlay file
system: without, each container would be a copy of gigabytes. It touches the machine's network only where containers have to
talk to each other; then its bridge and its firewall's rules stay behind, as Docker leaves them.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from engine import Engine, Missing

READY_WITHIN = 60  # seconds
STOP_WITHIN = 60  # seconds, containers included


def end_with_parent():
    """Even if this program is killed outright, the daemon stops its containers and ends (Linux: PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextlib.contextmanager
def daemon(cache, bridged):
    """An engine whose daemon answers, if it must with a network of its own. Raises `Missing` where there can't be one."""
    if shutil.which("docker") is None:
        raise Missing("there is no `docker`")
    engine = Engine()
    if engine.answers():
        yield engine
        return
    if shutil.which("dockerd") is None:
        raise Missing("no Docker daemon answers, and `dockerd` isn't here to start one")
    if os.geteuid() != 0:
        raise Missing("no Docker daemon answers, and only root may start one")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of ours; it ends
        with own_daemon(cache / "docker", bridged) as host:
            yield Engine(host, ours=True)


@contextlib.contextmanager
def own_daemon(data, bridged):
    """Starts `dockerd`, and stops it whatever happens; yields where it listens."""
    work = Path(tempfile.mkdtemp(prefix="valve-docker-"))
    host = f"unix://{work}/docker.sock"
    log = work / "log"
    command = ["dockerd", "--host", host, "--data-root", str(data), "--exec-root", str(work / "exec")]
    command += ["--pidfile", str(work / "pid"), "--storage-driver", "overlay2"]
    command += [] if bridged else ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        wait_until_ready(host, process, log)
        yield host
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN)
        process.kill()
        process.wait()
        remove(work)


def wait_until_ready(host, process, log):
    engine, give_up = Engine(host), time.monotonic() + READY_WITHIN
    while not engine.answers():
        if process.poll() is not None or time.monotonic() > give_up:
            said = log.read_text(errors="replace").strip().splitlines()
            raise Missing(f"`dockerd` doesn't start here: {said[-1] if said else 'it says nothing'}")
        time.sleep(0.2)


def remove(work):
    """With what the daemon has left mounted in it, such as its network's namespace."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed([place for place in mounted if place.startswith(f"{work}/")]):
        subprocess.run(["umount", "--lazy", place], check=False)
    shutil.rmtree(work, ignore_errors=True)
