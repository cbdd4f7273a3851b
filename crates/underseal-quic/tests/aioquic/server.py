"""A server of aioquic's that sends back what comes on a stream, and updates its keys first where that
is `update`. It says in which key phase it is behind each.

Arguments: directory of the certificates, suite.
"""

import asyncio
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived
from aioquic.tls import CipherSuite, Epoch

directory, suite = sys.argv[1:]


class Echo(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.streams = {}

    def quic_event_received(self, event):
        if not isinstance(event, StreamDataReceived):
            return
        payload = self.streams.setdefault(event.stream_id, bytearray())
        payload += event.data
        if not event.end_stream:
            return
        if payload == b"update":
            self.request_key_update()
        self._quic.send_stream_data(event.stream_id, bytes(payload), end_stream=True)
        self.transmit()
        print("phase", self._quic._cryptos[Epoch.ONE_RTT].key_phase, "behind", len(payload))


async def main():
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=["test"],
        cipher_suites=[CipherSuite[suite]],
    )
    configuration.load_cert_chain(f"{directory}/server.pem", f"{directory}/server.key")
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Echo)
    address, port = server._transport.get_extra_info("sockname")
    print(f"listening on {address}:{port}")
    await asyncio.Future()


asyncio.run(main())
