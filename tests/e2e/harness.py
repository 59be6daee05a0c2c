"""A set of processes for the Python suite: a broker and its gateways in a directory of their own,
on free ports of the loopback. The larger sister is harness.mjs."""

import asyncio
import json
import os
import pathlib
import re
import tempfile
import urllib.parse

import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN_DIR = pathlib.Path(os.environ.get("SWITCHBOARD_BIN_DIR", ROOT / "build" / "bin"))
PATIENCE_S = 20
REPORT = re.compile(r"Sanitizer|runtime error:|Assertion .* failed")


class Program:
    """One program under test, its log read as it is written."""

    def __init__(self, name):
        self.name = name
        self.lines = []
        self.news = asyncio.Condition()

    async def start(self, flags):
        arguments = [part for flag in flags.items() for part in (f"--{flag[0]}", str(flag[1]))]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SWITCHBOARD_")}
        self.process = await asyncio.create_subprocess_exec(
            BIN_DIR / self.name, *arguments, stderr=asyncio.subprocess.PIPE, env=environment
        )
        self.reading = asyncio.create_task(self.read_log())

    async def read_log(self):
        async for line in self.process.stderr:
            async with self.news:
                self.lines.append(line.decode().rstrip())
                self.news.notify_all()

    async def wait_for(self, pattern):
        def find():
            return next((m for m in (re.search(pattern, line) for line in self.lines) if m), None)

        async with self.news:
            return await asyncio.wait_for(self.news.wait_for(find), PATIENCE_S)

    async def stop(self):
        """Ends it, and checks that it ends well."""
        if self.process.returncode is None:
            self.process.terminate()
        status = await asyncio.wait_for(self.process.wait(), PATIENCE_S)
        await self.reading
        log = "\n".join(self.lines[-40:])
        assert status == 0, f"{self.name} ended with {status}:\n{log}"
        assert not any(REPORT.search(line) for line in self.lines), log


class ServerSet:
    """Use as `async with ServerSet(gateways=3) as servers`."""

    def __init__(self, gateways=1):
        self.gateway_count = gateways
        self.programs = []
        self.ports = []

    async def __aenter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="sb-")
        try:
            await self.start()
        except BaseException:
            self.kill()
            raise
        return self

    async def start(self):
        link_dir = f"{self.directory.name}/link"
        flags = {"link-dir": link_dir, "gateways": self.gateway_count}
        await self.start_program("switchboard-broker", flags, "^info ready")
        for slot in range(self.gateway_count):
            flags = {
                "link-dir": link_dir,
                "slot": slot,
                "listen": "127.0.0.1:0",
                "static-dir": ROOT / "static",
            }
            listening = r"^info listening address=127\.0\.0\.1:(\d+)"
            found = await self.start_program("switchboard-gateway", flags, listening)
            self.ports.append(int(found.group(1)))
        for gateway in self.programs[1:]:
            await gateway.wait_for("^info link-up")

    async def start_program(self, name, flags, ready):
        program = Program(name)
        await program.start(flags)
        self.programs.append(program)
        return await program.wait_for(ready)

    def kill(self):
        for program in self.programs:
            if program.process.returncode is None:
                program.process.kill()
        self.directory.cleanup()

    async def __aexit__(self, *_):
        try:
            await asyncio.gather(*(program.stop() for program in self.programs[1:]))
            await self.programs[0].stop()
        finally:
            self.kill()

    async def connect(self, slot, user_id, device_id="", protocol=False):
        query = urllib.parse.urlencode(
            {"userId": user_id, "deviceId": device_id}, quote_via=urllib.parse.quote
        )
        return await websockets.connect(
            f"ws://127.0.0.1:{self.ports[slot]}/ws?{query}",
            subprotocols=["switchboard.v1"] if protocol else None,
            open_timeout=PATIENCE_S,
            max_queue=None,
        )


async def receive(client):
    """The next message: its text and what it says."""
    text = await asyncio.wait_for(client.recv(), PATIENCE_S)
    return text, json.loads(text)
