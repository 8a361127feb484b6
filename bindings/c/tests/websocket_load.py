"""Sends WebSocket messages of many sizes over many connections at once, and expects each back:
websocket_load.py PORT."""
import base64
import os
import socket
import struct
import sys

CONNECTIONS, ROUNDS = 200, 20


def frame(payload):
    mask = os.urandom(4)
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        length = b"\xfe" + struct.pack(">H", len(payload))
    else:
        length = b"\xff" + struct.pack(">Q", len(payload))
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big")
    body = (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")
    return b"\x82" + length + mask + body


def unmasked(payload):
    if len(payload) < 126:
        return b"\x82" + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return b"\x82\x7e" + struct.pack(">H", len(payload)) + payload
    return b"\x82\x7f" + struct.pack(">Q", len(payload)) + payload


def join(port):
    peer = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    peer.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(1)
    assert b" 101 " in head, head
    return peer


peers = [join(int(sys.argv[1])) for _ in range(CONNECTIONS)]
total = 0
for turn in range(ROUNDS):
    sizes = [(turn * 977 + number * 131) % 15000 for number in range(CONNECTIONS)]
    payloads = [os.urandom(size) for size in sizes]
    for peer, payload in zip(peers, payloads):
        peer.sendall(frame(payload))
    for peer, payload in zip(peers, payloads):
        expected, got = unmasked(payload), b""
        while len(got) < len(expected):
            more = peer.recv(65536)
            assert more, "the connection ended"
            got += more
        assert got == expected, "another message came back"
        total += len(payload)
for peer in peers:
    peer.close()
print(f"EchoServer: {CONNECTIONS * ROUNDS} messages, {total} bytes over {CONNECTIONS} connections")
