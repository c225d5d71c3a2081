"""How many connections this program holds to other machines: counted, not claimed."""

import ipaddress
from collections.abc import Iterable
from typing import Any

import psutil


def outbound() -> int:
    """Connections of this process and its children that began here and lead to another machine."""
    ours = psutil.Process()
    return count_outbound(
        connection for process in (ours, *ours.children(recursive=True)) for connection in _of(process)
    )


def count_outbound(connections: Iterable[Any]) -> int:
    """How many of psutil's connections lead away. Those that came to a port we listen on are other people's."""
    known = list(connections)
    ours = {one.laddr.port for one in known if one.status == psutil.CONN_LISTEN}
    return sum(bool(one.raddr) and one.laddr.port not in ours and not _is_here(one.raddr.ip) for one in known)


def _of(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections(kind="inet"))
    except psutil.Error:
        # It ended meanwhile, or the system does not let us look.
        return []


def _is_here(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
