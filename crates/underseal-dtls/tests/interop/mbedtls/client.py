"""A client of Mbed TLS's that expects back what it sends.

Arguments: directory of the certificates, server name, port.
"""

import socket
import sys
from contextlib import suppress
from pathlib import Path

from mbedtls import tls, x509

directory, name, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def patiently(call, *arguments):
    while True:
        with suppress(tls.WantReadError, tls.WantWriteError):
            return call(*arguments)


store = tls.TrustStore()
store.add(x509.CRT.from_PEM((directory / "ca.pem").read_text()))
configuration = tls.DTLSConfiguration(
    trust_store=store,
    validate_certificates=True,
    lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
)
client = tls.ClientContext(configuration).wrap_socket(
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM), server_hostname=name
)
client.connect(("127.0.0.1", port))
patiently(client.do_handshake)
for text in ["one", "two", "long" * 250]:
    patiently(client.send, text.encode())
    answer = patiently(client.recv, 4096)
    assert answer == text.encode(), answer
print("done", flush=True)
client.close()
