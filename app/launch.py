"""Starts the page: Streamlit in this process, on the loopback address, behind our gate, silent towards the outside."""

import atexit
import json
import os
import signal
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

from app import identity
from app.theme import theme_options
from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual

SCRIPT = Path(__file__).parent / "main.py"
SECONDS_BEFORE_THE_BROWSER = 1.0
PORTS_TRIED = 20


def free_port(host: str, wanted: int) -> int:
    """The first port from `wanted` on that nothing listens on. Raises SettingError after `PORTS_TRIED`."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if _is_free(host, port):
            return port
    raise SettingError(
        Bilingual(
            en=f"Ports {wanted} to {wanted + PORTS_TRIED - 1} on {host} are all taken. Choose one with --port.",
            zh=f"{host} 上的端口 {wanted} 到 {wanted + PORTS_TRIED - 1} 均被占用。请用 --port 另选一个。",
        )
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # What a server left behind in TIME_WAIT is free; without this a restart would wander to the next port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def streamlit_options(settings: Settings, port: int, open_browser: bool) -> dict[str, object]:
    """Streamlit's options: our address only, no telemetry, no developer's menu, our looks."""
    return {
        "server.address": settings.host,
        "server.port": port,
        "server.headless": not open_browser,
        # The gate looks at both before; this is the second lock on the same door.
        "server.allowedHosts": sorted({settings.host, "127.0.0.1", "localhost", _public_host(settings)} - {""}),
        "server.corsAllowedOrigins": [settings.public_url] if settings.public_url else [],
        "server.enableCORS": True,
        # A tab that reconnects goes on in its session only as the same person.
        "server.trustedUserHeaders": json.dumps(
            {identity.PERSON_HEADER: "person"} if settings.login == "proxy" else {}
        ),
        # Doors for programs: ours is the HTTP API.
        "server.enableAgentApi": False,
        "server.enableXsrfProtection": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 500,
        "server.disconnectedSessionTTL": 600,
        "server.showEmailPrompt": False,
        # Without an address of its own Streamlit asks a public server for ours.
        "browser.serverAddress": settings.host,
        "browser.gatherUsageStats": False,
        # A page that polls runs often: a full collection after each run would hold up answers and loading.
        "runner.postScriptGC": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "logger.hideWelcomeMessage": True,
        **theme_options(),
    }


def has_display() -> bool:
    """Whether a browser window could open here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def serve(settings: Settings, port: int, open_browser: bool) -> None:
    """Run the page until it is interrupted. Blocks. Raises SettingError where its login lacks a setting."""
    import streamlit as st
    from starlette.middleware import Middleware

    from app.page_gate import PageGate

    login = identity.check(settings)
    # Registered before the parts of the application, it is called after their own ends.
    atexit.register(_end_at_once)
    # The script reads its settings anew: what the command line said reaches it through the environment.
    os.environ.update(environment_of(settings))
    # Before any model library starts its threads: waiting threads must sleep, or they starve the page and the model.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # The address of a connection is the connection's own: no X-Forwarded-For changes what the login looks at.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    # The server hands the signal back when it has closed: then this process ends as if by itself, and tidies up.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    if open_browser:
        opening = threading.Timer(SECONDS_BEFORE_THE_BROWSER, webbrowser.open, [f"http://{settings.host}:{port}"])
        opening.daemon = True
        opening.start()
    gate = Middleware(PageGate, settings=settings, login=login)
    try:
        st.App(SCRIPT, middleware=[gate]).run(config=streamlit_options(settings, port, open_browser))
    except Exception:
        atexit.unregister(_end_at_once)
        raise


def _end_at_once() -> None:
    """Leave without the interpreter's own end, after everything was tidied up.

    That end would unwind the threads that are inside a library at this moment (an encoder that warms up, an index that
    opens); C++ takes that for a crash and aborts the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _public_host(settings: Settings) -> str:
    return urlsplit(settings.public_url).hostname or ""


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings that differ from the defaults, as environment variables."""
    variables = {}
    for name, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        variables[f"FOURFOLD_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    return variables
