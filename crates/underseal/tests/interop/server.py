"""A TLS server for the interop tests.

Arguments: the certificates' directory, then words:
  alpn=NAME    agrees to that protocol
  verify       asks for the client's certificate and refuses a client without
  connections=N
  cut          ends the last connection after its first answer, without close_notify

Prints `listening 127.0.0.1:PORT`, echoes what it receives, and prints one line for each connection
with what was agreed on, and one for how it ended.
"""

import os
import socket
import ssl
import sys

directory, *words = sys.argv[1:]
options = dict(word.partition("=")[::2] for word in words)

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(
    os.path.join(directory, "server.pem"), os.path.join(directory, "server.key")
)
names = []
context.sni_callback = lambda stream, name, context: names.append(name)
if "alpn" in options:
    context.set_alpn_protocols([options["alpn"]])
if "verify" in options:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(os.path.join(directory, "ca.pem"))

listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(30)
print(f"listening 127.0.0.1:{listener.getsockname()[1]}")
connections = int(options.get("connections", "1"))
for number in range(1, connections + 1):
    tcp, _ = listener.accept()
    tcp.settimeout(30)
    try:
        stream = context.wrap_socket(tcp, server_side=True, suppress_ragged_eofs=False)
    except ssl.SSLError as error:
        print(f"refused: {error.reason}")
        continue
    subject = dict(pair for part in (stream.getpeercert() or {}).get("subject", ()) for pair in part)
    print(
        f"{stream.version()} {stream.cipher()[0]} alpn={stream.selected_alpn_protocol()}",
        f"name={names[-1]} reused={stream.session_reused} client={subject.get('commonName')}",
    )
    end = "close_notify"
    try:
        while piece := stream.recv(65536):
            stream.sendall(piece)
            if "cut" in options and number == connections:
                os.close(stream.detach())
                end = "cut"
                break
        else:
            stream.unwrap()
    except ssl.SSLEOFError:
        end = "cut off"
    print(f"ended: {end}")
