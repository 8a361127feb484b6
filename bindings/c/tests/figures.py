"""Measures the C interface and fails if it takes more than it may: figures.py FOLDER, where idle and
http_server are. No times, which other programs would disturb."""
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile

folder = sys.argv[1]
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESPONSE = 78
# Instructions: 1.03 times the 722 of the same program on µSockets. Calls: what was measured, and a
# little more.
INSTRUCTIONS_MAX, CALLS_MAX = 744, 6.1
# By sizes: a block of malloc's, a slot, a place and what is beside them.
IDLE_MAX, PAGE = 224 + 44 + 1 + 16, 4096
# One for the connection, one for its request and one for its end, if nothing comes together.
WAITS_MAX = 3.1


def serve(tool, drive):
    """Runs the server under a tool, and `drive` with its port; ends it."""
    server = subprocess.Popen([*tool, f"{folder}/http_server", "0"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        drive(int(server.stdout.readline().split()[-1]))
    finally:
        # Under strace the server is a child, whose end it waits for.
        children = subprocess.run(["pgrep", "-P", str(server.pid)], stdout=subprocess.PIPE, text=True)
        for pid in children.stdout.split() or [server.pid]:
            os.kill(int(pid), signal.SIGTERM)
        server.wait()


def ask(peer):
    peer.sendall(REQUEST)
    data = b""
    while len(data) < RESPONSE:
        more = peer.recv(RESPONSE)
        assert more, "the connection ended"
        data += more


def instructions(count):
    def drive(port):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            for _ in range(count):
                ask(peer)

    with tempfile.NamedTemporaryFile() as file:
        serve(["valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}"], drive)
        return int(re.search(r"^totals: (\d+)$", file.read().decode(), re.M)[1])


def system_calls(count):
    def drive(port):
        for _ in range(count):
            with socket.create_connection(("127.0.0.1", port)) as peer:
                ask(peer)

    with tempfile.NamedTemporaryFile() as file:
        serve(["strace", "-f", "-c", "-o", file.name], drive)
        rows = re.findall(r"^\s*\S+\s+\S+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w+)$",
                          file.read().decode(), re.M)
        waits = sum(int(calls) for calls, name in rows if name.startswith("epoll_p"))
        return waits, sum(int(calls) for calls, name in rows if name != "total") - waits


failed = False


def hold(what, figure, most):
    global failed
    failed |= figure > most
    print(f"{what}: {figure:.1f}, at most {most}")


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
hold("instructions of a keep-alive request", (instructions(1500) - instructions(500)) / 1000,
     INSTRUCTIONS_MAX)
(waits, calls), (first_waits, first_calls) = system_calls(700), system_calls(200)
hold("system calls of a short connection", (calls - first_calls) / 500, CALLS_MAX)
hold("waits of a short connection", (waits - first_waits) / 500, WAITS_MAX)
# A quarter of the descriptors: there are two of each connection, and others want some.
count = max(min(9000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4), 2000)
idle = subprocess.run([f"{folder}/idle", str(count)], stdout=subprocess.PIPE, check=True)
# They lie in four places, each of which begins and ends within a page.
hold("bytes of an idle connection", float(idle.stdout), IDLE_MAX + 4 * PAGE / (count - 1000))
sys.exit(failed)
