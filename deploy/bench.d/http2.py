"""As much of HTTP/2 (RFC 9113, prior knowledge) as it takes to ask an origin for one thing after another."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WINDOW_MAX = (1 << 31) - 1
# RFC 7541 appendix A: entry 8 of the static table is `:status 200`.
STATUS_200 = 0x88


class Client:
    """One connection, one request at a time."""

    def __init__(self, port, timeout=15):
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = -1
        # SETTINGS_INITIAL_WINDOW_SIZE (4), then the connection's own window: nothing has to be acknowledged.
        settings = struct.pack(">HI", 4, WINDOW_MAX)
        self.socket.sendall(
            PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW, 0, 0, struct.pack(">I", WINDOW_MAX - 65535)))

    def close(self):
        self.socket.close()

    def get(self, path):
        """The body, once all of it is there; none unless the status is 200."""
        self.stream += 2
        authority = f"127.0.0.1:{self.port}".encode()
        # RFC 7541 §6.1 and §6.2.2: GET and http indexed; path and authority as literals that are not.
        block = b"\x82\x86" + literal(4, path.encode()) + literal(1, authority)
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, self.stream, block))
        body, good = b"", False
        while True:
            kind, flags, stream, payload = self.receive()
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY or (kind == RESET and stream == self.stream):
                return None
            elif kind == HEADERS and stream == self.stream:
                good = payload[:1] == bytes([STATUS_200]) or bytes([STATUS_200]) in payload[:4]
            elif kind == DATA and stream == self.stream:
                body += payload
            if kind in (DATA, HEADERS) and stream == self.stream and flags & END_STREAM:
                return body if good else None

    def receive(self):
        head = self.exactly(9)
        length = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:], "big") & WINDOW_MAX, self.exactly(length)

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise RuntimeError("the origin closed the connection")
            data += piece
        return bytes(data)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    return bytes([name, len(value)]) + value
