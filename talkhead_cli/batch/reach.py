"""What can be told about a cluster before it is joined: its library, its address, its devices."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Sequence

from talkhead_cli.errors import DeviceError, UsageError

CONNECT_SECONDS = 10.0
"""Longest wait for a cluster to answer."""


def require(extra: str, *modules: str) -> None:
    """Insist that an extra is installed.

    Raises:
        UsageError: it is not.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UsageError(
                f"--backend {extra}: the Python package {module} is missing; pip install 'talkhead[{extra}]'"
            )


def cluster_device(devices: Sequence[str]) -> str:
    """The device on workers of machines that are not ours to look at: "auto", "cpu" or "cuda".

    Raises:
        UsageError: single devices are named.
    """
    named = set(devices or ("auto",))
    if len(named) == 1 and named <= {"auto", "cpu", "cuda"}:
        return named.pop()
    raise UsageError(
        f"--devices {','.join(devices)}: with --address every worker of the cluster has its own device; "
        "give auto, cpu or cuda"
    )


def check_answers(address: str, default_port: int) -> None:
    """Insist that something listens at an address such as "tcp://host:port" or "host:port".

    Raises:
        UsageError: this is no address.
        DeviceError: nothing answers.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host:
        host, port = port, str(default_port)
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--address {address}: give it as host:port, such as host:{default_port}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise DeviceError(
            f"--address {address}: nothing answers there ({error.strerror or error}); "
            "check the address and that the cluster runs"
        ) from error
