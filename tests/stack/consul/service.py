"""Consul with its ACLs on, over HTTP and HTTPS: the settings' keys, and tokens that may read them or not."""

import json
import subprocess

ROOT_TOKEN = "5f0e9c0a-6f1e-4d5b-9a55-2b1f3b7d0c11"


def provision(target, stack):
    # The checksum database doesn't have this vendor's modules; go.sum pins them.
    environ = {"GOBIN": str(target), "GONOSUMDB": "github.com/hashicorp/*"}
    stack.call(["go", "install", "-trimpath", "tool"], cwd=stack.folder, environ=environ)


def launch(installed, work, stack):
    program = str(installed / "consul")
    for arguments in (["ca", "create"], ["cert", "create", "-server", "-dc", "dc1"]):
        stack.call([program, "tls", *arguments], cwd=work)
    ports = {name: stack.free_port() for name in ("http", "https", "server", "serf_lan")}
    settings = work / "consul.json"
    settings.write_text(json.dumps({
        "ports": {**ports, "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1},
        "acl": {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": ROOT_TOKEN}},
        "tls": {"defaults": {
            "ca_file": str(work / "consul-agent-ca.pem"),
            "cert_file": str(work / "dc1-server-consul-0.pem"),
            "key_file": str(work / "dc1-server-consul-0-key.pem"),
        }},
    }))
    address = f"http://127.0.0.1:{ports['http']}"

    def ready():
        environ = {"CONSUL_HTTP_ADDR": address, "CONSUL_HTTP_TOKEN": ROOT_TOKEN}
        asked = [program, "kv", "put", "valve-tests/ready", "yes"]
        return subprocess.run(asked, env=environ, capture_output=True, check=False).returncode == 0

    return stack.process(
        command=[program, "agent", "-dev", "-bind", "127.0.0.1", "-config-file", str(settings)],
        ready=ready,
        exports={
            "VALVE_TEST_CONSUL": address,
            "VALVE_TEST_CONSUL_TLS": f"https://localhost:{ports['https']}",
            "VALVE_TEST_CONSUL_CA": str(work / "consul-agent-ca.pem"),
            "VALVE_TEST_CONSUL_TOKEN": ROOT_TOKEN,
        },
    )
