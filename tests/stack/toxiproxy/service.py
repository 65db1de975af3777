"""Toxiproxy: connections that are slow, reset, cut or silent, as a test asks for over HTTP (tests/torturing/)."""


def provision(target, stack):
    stack.call(["go", "install", "-trimpath", "tool"], cwd=stack.folder, environ={"GOBIN": str(target)})


def launch(installed, work, stack):
    port = stack.free_port()
    address = f"http://127.0.0.1:{port}"
    return stack.process(
        command=[str(installed / "server"), "-host", "127.0.0.1", "-port", str(port)],
        environ={"LOG_LEVEL": "error"},
        ready=lambda: stack.answers(f"{address}/version"),
        exports={"VALVE_TEST_TOXIPROXY": address},
    )
