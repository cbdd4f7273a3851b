"""A server of Mbed TLS's that sends back what one client sends.

Argument: directory of the certificates.
"""

import socket
import sys
from contextlib import suppress
from pathlib import Path

from mbedtls import pk, tls, x509

directory = Path(sys.argv[1])


def patiently(call, *arguments):
    while True:
        with suppress(tls.WantReadError, tls.WantWriteError):
            return call(*arguments)


chain = [x509.CRT.from_PEM((directory / "server.pem").read_text())]
key = pk.ECC.from_PEM((directory / "server.key").read_text())
configuration = tls.DTLSConfiguration(
    certificate_chain=(chain, key),
    validate_certificates=False,
    lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
)
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# Each accept binds another socket to the same port.
plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener = tls.ServerContext(configuration).wrap_socket(plain)
listener.bind(("127.0.0.1", 0))
print("listening %s:%d" % listener.getsockname(), flush=True)

connection, address = listener.accept()
connection.setcookieparam(address[0].encode())
with suppress(tls.HelloVerifyRequest):
    patiently(connection.do_handshake)
connection, address = connection.accept()
connection.setcookieparam(address[0].encode())
patiently(connection.do_handshake)
while payload := patiently(connection.recv, 4096):
    patiently(connection.send, payload)
