"""One side of a TLS 1.3 connection by tlslite-ng, which does not verify certificates' chains."""
import socket
import sys

from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey

role, port, mutual, cipher, group, first, size, cert, key = sys.argv[1:]
settings = HandshakeSettings()
settings.minVersion = settings.maxVersion = (3, 4)
settings.cipherNames = [cipher]
settings.eccCurves = sorted({first, group}, key=lambda name: name != first)
settings.dhGroups = []
settings.keyShares = [first]
settings.record_size_limit = int(size)
# Its client would compress without being asked to.
settings.certificate_compression_send = []

chain, private = None, None
if cert:
    chain = X509CertChain()
    chain.parsePemList(open(cert).read())
    private = parsePEMKey(open(key).read(), private=True)

if role == "server":
    listener = socket.create_server(("127.0.0.1", int(port)))
    while True:
        tcp, _ = listener.accept()
        tls = TLSConnection(tcp)
        try:
            tls.handshakeServer(certChain=chain, privateKey=private, settings=settings,
                                reqCert=mutual == "mutual")
            tls.write(tls.read(min=1, max=1000))
            tls.read(min=1, max=1000)
        except Exception as error:
            print(repr(error), file=sys.stderr)
else:
    tls = TLSConnection(socket.create_connection(("127.0.0.1", int(port))))
    tls.handshakeClientCert(chain, private, settings=settings, serverName="localhost")
    tls.write(sys.stdin.readline().encode())
    print(tls.read(min=1, max=1000).decode(), end="", flush=True)
    tls.close()
