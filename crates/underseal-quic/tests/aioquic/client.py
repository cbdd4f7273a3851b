"""A client of aioquic's: echoes, a key update that `who` begins, and more echoes.

Arguments: directory of the certificates, name of the server, its port, suite, `we` or `they`.
"""

import asyncio
import sys

from aioquic.asyncio import connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.tls import CipherSuite, Epoch

directory, name, port, suite, who = sys.argv[1:]


async def echo(client, payload):
    reader, writer = await client.create_stream()
    writer.write(payload)
    writer.write_eof()
    assert await reader.read() == payload, "other bytes came back"


def phase(client):
    return client._quic._cryptos[Epoch.ONE_RTT].key_phase


async def main():
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=["test"],
        server_name=name,
        cafile=f"{directory}/ca.pem",
        cipher_suites=[CipherSuite[suite]],
    )
    async with connect("127.0.0.1", int(port), configuration=configuration) as client:
        # Small ones: quinn updates its keys by itself after some more packets.
        await echo(client, b"before")
        before = phase(client)
        if who == "we":
            client.request_key_update()
            await echo(client, b"after")
        else:
            await echo(client, b"update")
            await echo(client, b"after")
        print("phases", before, phase(client))
        await echo(client, bytes(at % 251 for at in range(1 << 20)))
        print("done")


asyncio.run(main())
