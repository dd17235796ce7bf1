"""Python's websockets. Takes the sender's address, a number of messages and
their size; prints the rate."""

import asyncio
import json
import math
import sys
import time

from websockets.asyncio.client import connect


async def run(socket, count, size):
    await socket.send(json.dumps({"count": count, "size": size}))
    for _ in range(count):
        await socket.recv()


async def main(url, count, size):
    async with connect(url, compression=None, max_size=None) as socket:
        await run(socket, math.ceil(count / 5), size)  # to warm up
        start = time.perf_counter()
        await run(socket, count, size)
        print(f"[{count / (time.perf_counter() - start)}]")


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
