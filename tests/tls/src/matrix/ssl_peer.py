"""One side of a TLS 1.3 connection by Python's ssl."""
import socket
import ssl
import sys

role, port, mutual, root, group, cert, key = sys.argv[1:]
is_server = role == "server"
kind = ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT
context = ssl.SSLContext(kind)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.set_ecdh_curve(group)
context.load_verify_locations(root)
if cert:
    context.load_cert_chain(cert, key)
if is_server and mutual == "mutual":
    context.verify_mode = ssl.CERT_REQUIRED

if is_server:
    listener = socket.create_server(("127.0.0.1", int(port)))
    while True:
        tcp, _ = listener.accept()
        try:
            with context.wrap_socket(tcp, server_side=True) as tls:
                tls.sendall(tls.recv(1000))
                tls.recv(1000)
        except OSError as error:
            print(error, file=sys.stderr)
else:
    tcp = socket.create_connection(("127.0.0.1", int(port)))
    with context.wrap_socket(tcp, server_hostname="localhost") as tls:
        tls.sendall(sys.stdin.readline().encode())
        print(tls.recv(1000).decode(), end="", flush=True)
