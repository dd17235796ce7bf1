"""Echoes messages, long ones in fragments, with each setting of compression.

Prints the port of each setting as one line of JSON.
"""

import asyncio
import json

from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

SETTINGS = {
    "disabled": None,
    "default": {},
    "no_context_takeover": {
        "server_no_context_takeover": True,
        "client_no_context_takeover": True,
    },
    "server_no_context_takeover": {"server_no_context_takeover": True},
    "client_no_context_takeover": {"client_no_context_takeover": True},
    "small_windows": {"server_max_window_bits": 9, "client_max_window_bits": 9},
    "client_window": {"client_max_window_bits": 12},
}


async def echo(websocket):
    async for message in websocket:
        if len(message) < 1000:
            await websocket.send(message)
        else:
            size = len(message) // 3
            await websocket.send(
                [message[i : i + size] for i in range(0, len(message), size)]
            )


async def main():
    ports = {}
    for name, setting in SETTINGS.items():
        extensions = (
            None if setting is None else [ServerPerMessageDeflateFactory(**setting)]
        )
        server = await serve(
            echo,
            "127.0.0.1",
            0,
            compression=None,
            extensions=extensions,
            max_size=None,
        )
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
