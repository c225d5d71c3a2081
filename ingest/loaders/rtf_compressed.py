"""The compressed RTF of Outlook ([MS-OXRTFCP]): a dictionary of 4096 bytes with a known beginning."""

_BEGINNING = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_SIZE = 4096
_HEADER = 16
_MOST = 64 * 1024 * 1024


def decompress(data: bytes) -> bytes:
    """The RTF; what is broken ends it early."""
    if data[8:12] == b"MELA":
        return data[_HEADER:]
    ring = bytearray(_BEGINNING.ljust(_SIZE, b"\x00"))
    write, place = len(_BEGINNING), _HEADER
    out = bytearray()
    while place < len(data) and len(out) < _MOST:
        control = data[place]
        place += 1
        for bit in range(8):
            if not control >> bit & 1:
                piece = data[place : place + 1]
                place += 1
            else:
                token = int.from_bytes(data[place : place + 2], "big")
                place += 2
                offset, length = token >> 4, (token & 0xF) + 2
                if offset == write % _SIZE:
                    return bytes(out)
                piece = _copied(ring, offset, length, write)
            for value in piece:
                ring[write % _SIZE] = value
                write += 1
            out += piece
    return bytes(out)


def _copied(ring: bytearray, offset: int, length: int, write: int) -> bytes:
    """A reference may reach into what it is itself writing."""
    piece = bytearray()
    available = (write - offset) % _SIZE or _SIZE
    for step in range(length):
        piece.append(ring[(offset + step) % _SIZE] if step < available else piece[step - available])
    return bytes(piece)
