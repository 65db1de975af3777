"""Apicurio Registry, in memory, for its Confluent-compatible API."""

import tarfile


def provision(target, stack):
    stack.maven(target / "download")
    (archive,) = (target / "download").glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(target)
    archive.unlink()


def launch(installed, work, stack):
    port = stack.free_port()
    (jar,) = installed.glob("apicurio-registry-app-*-runner.jar")
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    return stack.process(
        command=[
            "java", "-Xmx384m", "-XX:+UseSerialGC",
            f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1",
            "-jar", str(jar),
        ],
        ready=lambda: stack.answers(f"{url}/subjects"),
        exports={"VALVE_TEST_REGISTRY": url},
    )
