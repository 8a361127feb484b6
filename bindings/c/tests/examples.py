"""Talks to the examples: examples.py FOLDER, where echo, http_server, client and websocket_chat are,
and with CERTIFICATES as well over TLS."""
import base64
import hashlib
import os
import socket
import struct
import subprocess
import sys
import threading

folder = sys.argv[1]
started = []


def start(name, *arguments):
    """Starts a server at a port of the kernel's choice, which it prints."""
    server = subprocess.Popen([f"{folder}/{name}", "0", *arguments], stdout=subprocess.PIPE, text=True)
    started.append(server)
    return int(server.stdout.readline().split()[-1])


def exactly(peer, count):
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        assert more, "the connection ended"
        data += more
    return data


def test_echo():
    with socket.create_connection(("127.0.0.1", start("echo"))) as peer:
        sent = os.urandom(8 << 20)
        writer = threading.Thread(target=lambda: (peer.sendall(sent), peer.shutdown(socket.SHUT_WR)))
        writer.start()
        assert exactly(peer, len(sent)) == sent
        writer.join()
        assert peer.recv(1) == b""


def test_http():
    port = start("http_server")
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as peer:
        for byte in request:
            peer.sendall(bytes([byte]))
        first = exactly(peer, 78)
        assert first.startswith(b"HTTP/1.1 200 OK\r\n") and first.endswith(b"\r\n\r\nHello, world\n"), first
        peer.sendall(request * 1000)
        assert exactly(peer, 78 * 1000) == first * 1000
    page = subprocess.run([f"{folder}/client", "127.0.0.1", str(port)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30)
    assert page.stdout == first, page


def test_https():
    certificates = os.environ["CERTIFICATES"]
    port = start("http_server_tls", f"{certificates}/localhost.pem", f"{certificates}/localhost.key")
    for authority, code in [("ca.pem", 0), ("other-ca.pem", 1)]:
        page = subprocess.run([f"{folder}/client_tls", "localhost", str(port), "/",
                               f"{certificates}/{authority}"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30)
        assert page.returncode == code, page
        assert (b"Hello, world" in page.stdout) == (code == 0), page
    page = subprocess.run(["openssl", "s_client", "-quiet", "-connect", f"localhost:{port}",
                           "-CAfile", f"{certificates}/ca.pem", "-verify_return_error"],
                          input=b"GET / HTTP/1.1\r\n\r\n", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30)
    assert b"Hello, world" in page.stdout, page


def join(port):
    peer = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    peer.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                 f"Connection: Upgrade\r\nsec-websocket-key: {key}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(peer, 1)
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    assert b"101" in head and accept in head, head
    return peer


def say(peer, opcode, payload):
    mask = os.urandom(4)
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    peer.sendall(bytes([0x80 | opcode]) + length + mask + body)


def hear(peer):
    opcode, length = exactly(peer, 2)
    if length == 126:
        length, = struct.unpack(">H", exactly(peer, 2))
    return opcode & 15, exactly(peer, length)


def test_chat():
    port = start("websocket_chat")
    members = [join(port) for _ in range(3)]
    for number, text in enumerate([b"hello", b"", b"x" * 125, b"y" * 126, b"z" * 60000]):
        say(members[number % 3], 1, text)
        for member in members:
            assert hear(member) == (1, text)
    say(members[0], 9, b"ping")
    assert hear(members[0]) == (10, b"ping")
    say(members[0], 8, b"\x03\xe8")
    assert hear(members[0]) == (8, b"\x03\xe8") and members[0].recv(1) == b""
    members[0].close()
    say(members[1], 1, b"two of us")
    assert hear(members[1]) == hear(members[2]) == (1, b"two of us")
    members[1].sendall(b"\x01\x00")
    assert members[1].recv(1) == b""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert exactly(peer, 12) == b"HTTP/1.1 426"


try:
    tests = [test_echo, test_http, test_chat] + ([test_https] if "CERTIFICATES" in os.environ else [])
    for test in tests:
        test()
        print(test.__name__)
finally:
    for server in started:
        server.kill()
