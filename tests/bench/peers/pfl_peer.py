"""Starts the workers of pfl-research. A process of its own, because pfl reads where its workers are when it is imported."""

import os
import pathlib
import socket
import subprocess
import sys

import peer


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def main():
    processes = peer.read_options().processes
    command = [sys.executable, str(pathlib.Path(__file__).with_name("pfl_worker.py")), *sys.argv[1:]]
    addresses = {"PFL_WORKER_ADDRESSES": ",".join([free_address()] * processes)} if processes > 1 else {}
    workers = [subprocess.Popen(command, env={**os.environ, **addresses, "PFL_WORKER_RANK": str(rank)})
               for rank in range(processes)]
    return max(abs(worker.wait()) for worker in workers)


if __name__ == "__main__":
    sys.exit(main())
