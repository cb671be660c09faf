"""The page under load: ``python benchmarks/page_load.py --checkpoint FILE [--data-dir DIR]``.

Starts ``tiny-diffusion serve`` as a program of its own and sends it many requests to write, several at a time: some
readers take every word at once, some read slowly, some leave in the middle. Then it sends a second round of as many and
compares the server's memory after both. Prints how many were answered, how long they took, and the memory.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

WAYS = ("quick",) * 7 + ("slow",) * 2 + ("leaves",)
BODY = {"task": "continue", "text": "It was", "settings": {"length": 12, "reading": "causal"}}


@dataclass(frozen=True)
class Outcome:
    """How a request ended: its way of reading, what came of it, and its seconds."""

    way: str
    result: str
    seconds: float


async def request(port: int, number: int, path: str = "/api/write") -> Outcome:
    """One request by a plain socket, so that reading can be slow and end anywhere."""
    way, began = WAYS[number % len(WAYS)], time.perf_counter()
    body = json.dumps({**BODY, "settings": {**BODY["settings"], "seed": number}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()
    found = b""
    while part := await reader.read(256 if way == "slow" else 65_536):
        found += part
        if way == "leaves" and b"event: frame" in found:
            break
        if way == "slow":
            await asyncio.sleep(0.1)
    writer.close()
    status = found.split(b" ", 2)[1].decode() if b" " in found else "none"
    whole = b"event: done" in found
    result = "left" if way == "leaves" and status == "200" else "done" if whole else f"status {status}"
    return Outcome(way, result, time.perf_counter() - began)


async def load(port: int, count: int, at_once: int) -> list[Outcome]:
    """``count`` requests, ``at_once`` at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> Outcome:
        async with gate:
            return await request(port, number)

    return await asyncio.gather(*(one(number) for number in range(count)))


def resident(process: int) -> float:
    """Megabytes of memory that a process holds now."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="outputs/best_model.pt")
    parser.add_argument("--data-dir")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--most-jobs", type=int, default=32, help="page.most_jobs; a small one shows refusals")
    given = parser.parse_args()
    command = [sys.executable, "-m", "tiny_diffusion", "serve", "--port", "0", "--checkpoint", given.checkpoint]
    command += ["--page.most_jobs", str(given.most_jobs), *(["--data-dir", given.data_dir] if given.data_dir else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
        asyncio.run(load(port, len(WAYS), len(WAYS)))  # a warm-up with each way of reading
        memory = [resident(server.pid)]
        for turn in (1, 2):
            began = time.perf_counter()
            outcomes = asyncio.run(load(port, given.requests, given.at_once))
            seconds = time.perf_counter() - began
            memory.append(resident(server.pid))
            told = Counter((each.way, each.result) for each in outcomes)
            print(f"round {turn}: {len(outcomes)} requests in {seconds:.1f} s, {given.at_once} at once")
            for (way, result), number in sorted(told.items()):
                times = [each.seconds for each in outcomes if (each.way, each.result) == (way, result)]
                spread = f"median {statistics.median(times):.2f} s, {max(times):.2f} at most"
                print(f"  {way:7} {result:10} {number:4}  {spread}")
        print("memory in MB: " + ", ".join(f"{each:.0f}" for each in memory) + " (after warm-up and each round)")
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
