"""A browser tab without a browser: it speaks the page's own WebSocket, so that every byte can be looked at."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

PATIENCE_SECONDS = 120.0
# Where files lie that a page offers; they are fetched and looked at too.
_MEDIA = re.compile(rb"/media/[0-9a-f]{20,}\.[a-z0-9]+")


@dataclass
class Tab:
    """One connection to the page at `address` (http://host:port), as the person that `headers` make it."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    session_id: str = ""
    origin: str = ""
    token: str = "no-token"

    def __enter__(self) -> "Tab":
        protocols = ["streamlit", self.token, *([self.session_id] if self.session_id else [])]
        self._connection = connect(
            self.address.replace("http", "ws", 1) + "/_stcore/stream",
            origin=Origin(self.origin or self.address),
            additional_headers=dict(self.headers),
            subprotocols=[Subprotocol(name) for name in protocols],
            max_size=None,
            open_timeout=PATIENCE_SECONDS,
        )
        self._socket: ClientConnection = self._connection.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.__exit__(kind, error, trace)

    def visit(self, page: str = "", query: str = "") -> bytes:
        """Open a page, wait until it is drawn, and return all that was sent."""
        asked = BackMsg()
        asked.rerun_script.query_string = query
        asked.rerun_script.page_name = page
        self._socket.send(asked.SerializeToString())
        return self.drawn()

    def say(self, input_id: str, text: str) -> bytes:
        """Send a text from a chat input, and return all that was sent for it."""
        asked = BackMsg()
        typed = asked.rerun_script.widget_states.widgets.add()
        typed.id, typed.chat_input_value.data = input_id, text
        self._socket.send(asked.SerializeToString())
        return self.drawn()

    def click(self, button_id: str) -> bytes:
        """Press a button, and return all that was sent for it."""
        asked = BackMsg()
        pressed = asked.rerun_script.widget_states.widgets.add()
        pressed.id, pressed.trigger_value = button_id, True
        self._socket.send(asked.SerializeToString())
        return self.drawn()

    def drawn(self) -> bytes:
        """Everything that is sent until the script has run to its end."""
        sent: list[bytes] = []
        while True:
            raw = self._socket.recv(PATIENCE_SECONDS)
            message = ForwardMsg.FromString(raw if isinstance(raw, bytes) else raw.encode())
            sent.append(message.SerializeToString())
            if message.WhichOneof("type") == "new_session":
                self.session_id = message.new_session.initialize.session_id or self.session_id
            elif message.WhichOneof("type") == "script_finished":
                if message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                    return b"\n".join(sent)
                if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    raise AssertionError(f"the script ended as {message.script_finished}")

    def media(self, shown: bytes) -> list[str]:
        """The addresses of the files that a page offers."""
        return sorted({found.decode() for found in _MEDIA.findall(shown)})
