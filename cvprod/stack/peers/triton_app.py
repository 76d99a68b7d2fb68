"""Triton: the real server binary out of the wheel nvidia-pytriton, with the Python backend of deploy/triton.

The wheel also has an API of its own; here only its binary is used, with the same repository that a cluster would get.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

DEPLOY = Path(os.environ["PEER_DEPLOY"]) / "triton/model_repository/steel_python"


def main(port):
    server = Path(importlib.util.find_spec("pytriton").origin).parent / "tritonserver"
    work = Path(tempfile.mkdtemp(prefix="triton-", dir=os.environ.get("PEER_SCRATCH")))
    shutil.copytree(DEPLOY, work / "repository/steel_python")
    shutil.copytree(server / "backends/python", work / "backends/python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, work / "backends/python")  # the one that is built for this interpreter
    # The stub loads libpython: without this folder it may find another one, and die.
    libraries = [sysconfig.get_config_var("LIBDIR"), str(server.parents[1] / "nvidia_pytriton.libs")]
    os.environ["LD_LIBRARY_PATH"] = ":".join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")])
    os.environ["PYTHONPATH"] = sysconfig.get_paths()["purelib"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = [f"--model-repository={work / 'repository'}", f"--backend-directory={work / 'backends'}"]
    words += ["--http-address=127.0.0.1", f"--http-port={port}", "--allow-grpc=false", "--allow-metrics=false"]
    words += [
        "--model-control-mode=explicit",  # so that a client may load it again with other settings
        "--load-model=steel_python",
        "--exit-timeout-secs=1",
        "--http-thread-count=4",
        "--log-info=false",
        "--backend-config=python,shm-default-byte-size=4194304",
    ]
    os.execv(server / "bin/tritonserver", ["tritonserver", *words])


if __name__ == "__main__":
    main(sys.argv[1])
