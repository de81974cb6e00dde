"""What the results were measured with."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

PEERS = Path(__file__).with_name("peers.txt")
# What all environments hold.
COMMON = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "redis", "hiredis")


def description() -> str:
    """Return machine and versions as a list."""
    common = ", ".join(f"{name} {version(name)}" for name in COMMON)
    lines = (
        f"Machine: {os.cpu_count()} cores, {cpu_model()}",
        f"Server: {server_version()}, on the same machine",
        f"Everybody: Python {platform.python_version()}, {common}",
        f"Peers: {', '.join(peer_versions())}",
    )
    return "\n".join(f"- {line}" for line in lines)


def peer_versions() -> list[str]:
    """Return names and versions of what stands in peers.txt."""
    lines = PEERS.read_text(encoding="utf-8").splitlines()
    packages = {
        package for line in lines if not line.startswith("#") for package in line.split()[1:]
    }
    return [package.replace("==", " ") for package in sorted(packages, key=str.lower)]


def cpu_model() -> str:
    """Return the processor's name where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.machine()


def server_version() -> str:
    """Return name and version of the server on PATH."""
    run = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"^(\S+).* v=(\S+)", run.stdout)
    return f"{match[1]} {match[2]}" if match else run.stdout.strip()
