"""The Java judge of the files, which is also the tests' Java producer: its class path."""

INPUTS = ["../../judges/java/pom.xml", "../../judges/java/src"]


def provision(target, stack):
    pom = stack.folder / "../../judges/java/pom.xml"
    stack.call(["mvn", "-q", "-B", "-f", str(pom), f"-Djudges.out={target}", "compile", "dependency:copy-dependencies"])


def launch(installed, work, stack):
    return stack.nothing_to_start(exports={"VALVE_TEST_JAVA_CP": f"{installed}/classes:{installed}/lib/*"})
