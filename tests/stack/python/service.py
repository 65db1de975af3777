"""A Python with Confluent's serializers (the producer of the tests) and fastavro (the judge of the files)."""

import sys
import venv
from pathlib import Path


def variant():
    """An environment belongs to the very interpreter that made it."""
    return f"{sys.version} {Path(sys.executable).resolve()}"


def provision(target, stack):
    venv.create(target, with_pip=True)
    python = target / "bin" / "python"
    stack.call([
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
        "--requirement", str(stack.folder / "requirements.txt"),
    ])


def launch(installed, work, stack):
    return stack.nothing_to_start(exports={"VALVE_TEST_PYTHON": str(installed / "bin" / "python")})
