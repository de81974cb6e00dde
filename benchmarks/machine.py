"""Prints the head of the results: what they were measured with."""

import os
import platform
import re
import subprocess
from pathlib import Path

import redis


def main() -> None:
    """Print it."""
    print("# What the script costs inside Redis\n")
    print("Made by scripts/bench. Trust the ratios: a machine that others use gives other times.\n")
    print(f"- Machine: {os.cpu_count()} cores, {cpu_model()}")
    print(f"- Server: {server_version()}, on the same machine")
    print(f"- Client: Python {platform.python_version()}, redis-py {redis.__version__}")


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


if __name__ == "__main__":
    main()
