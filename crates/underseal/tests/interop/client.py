"""A TLS client for the interop tests.

Arguments: the certificates' directory, the server's port, then words:
  alpn=NAME    offers that protocol
  identity     presents the client's certificate
  connections=N
  listen       waits for the server to end first
  cut          ends the last connection without close_notify

Sends its standard input on each connection, reads as much back, and says goodbye. Prints one line
for each connection: what was agreed on, and whether the echo is the same.
"""

import os
import socket
import ssl
import sys

directory, port, *words = sys.argv[1:]
options = dict(word.partition("=")[::2] for word in words)
payload = sys.stdin.buffer.read()


def receive(stream, length):
    received = b""
    while len(received) < length:
        piece = stream.recv(length - len(received))
        if not piece:
            break
        received += piece
    return received


def exchange(stream):
    """Sends the payload in pieces and reads each back; whether all came back as it was."""
    same = True
    for start in range(0, len(payload), 65536):
        piece = payload[start : start + 65536]
        stream.sendall(piece)
        same = same and receive(stream, len(piece)) == piece
    return same


context = ssl.create_default_context(cafile=os.path.join(directory, "ca.pem"))
if "alpn" in options:
    context.set_alpn_protocols([options["alpn"]])
if "identity" in options:
    context.load_cert_chain(
        os.path.join(directory, "client.pem"), os.path.join(directory, "client.key")
    )
connections = int(options.get("connections", "1"))
session = None
for number in range(1, connections + 1):
    tcp = socket.create_connection(("127.0.0.1", int(port)), timeout=30)
    stream = context.wrap_socket(
        tcp, server_hostname="localhost", session=session, suppress_ragged_eofs=False
    )
    same = exchange(stream)
    print(
        f"{stream.version()} {stream.cipher()[0]} alpn={stream.selected_alpn_protocol()}",
        f"reused={stream.session_reused} same={same}",
    )
    session = stream.session
    if "cut" in options and number == connections:
        os.close(stream.detach())
        continue
    end = "close_notify"
    try:
        if "listen" in options and stream.recv(1):
            end = "more"
        stream.unwrap()
    except ssl.SSLEOFError:
        end = "cut off"
    print(end)
