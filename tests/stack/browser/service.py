"""A headless Chromium to look at the status page with, and Playwright, which moves it.

The browser comes from the npm registry, as one file for Linux on x86-64. Elsewhere, or without npm, a Chromium that is
installed is taken; where there is none, the tests of the page are ignored.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PACKAGE = "@sparticuz/chromium@147.0.0"
SHA256 = "18fe5404ce845594cd7d592fc07f37a19514079ba4d9c27192ad8b908743f16b"
INSTALLED = ["chromium", "chromium-browser", "google-chrome"]

UNPACK = """
import brotli, pathlib, sys, tarfile
package, target = sys.argv[1:]
with tarfile.open(package) as files:
    packed = files.extractfile("package/bin/chromium.br").read()
pathlib.Path(target).write_bytes(brotli.decompress(packed))
"""


def npm():
    fits = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return shutil.which("npm") if fits else None


def variant():
    """An environment belongs to the very interpreter that made it."""
    return f"{sys.version} {Path(sys.executable).resolve()} {bool(npm())}"


def provision(target, stack):
    venv.create(target, with_pip=True)
    python = str(target / "bin" / "python")
    stack.call([
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
        "--requirement", str(stack.folder / "requirements.txt"),
    ])
    if npm():
        with tempfile.TemporaryDirectory() as folder:
            stack.call([npm(), "pack", "--silent", "--pack-destination", folder, PACKAGE])
            [package] = Path(folder).iterdir()
            found = hashlib.sha256(package.read_bytes()).hexdigest()
            if found != SHA256:
                raise RuntimeError(f"{PACKAGE} has the SHA-256 {found}, not {SHA256}")
            stack.call([python, "-c", UNPACK, str(package), str(target / "chromium")])
            (target / "chromium").chmod(0o755)


def works(browser):
    """Whether it starts: it may lack a library."""
    done = subprocess.run([browser, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


def launch(installed, work, stack):
    candidates = [str(installed / "chromium"), *filter(None, map(shutil.which, INSTALLED))]
    browser = next((path for path in candidates if Path(path).exists() and works(path)), None)
    if browser is None:
        return stack.nothing_to_start(exports={})
    return stack.nothing_to_start(exports={
        "VALVE_TEST_BROWSER": browser,
        "VALVE_TEST_BROWSER_PYTHON": str(installed / "bin" / "python"),
    })
