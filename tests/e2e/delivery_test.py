"""A second, independent client library: 60 users on 3 gateways, every ordered pair, and the ends
of a connection as python3-websockets sees them."""

import asyncio
import json
import unittest

import websockets

from harness import ServerSet, receive

USERS = 60
GATEWAYS = 3
MESSAGE_MAX_BYTES = 65536
TYPES = "start accept reject ringing cancel end offer answer candidate".split()
SIZES = [1, 2, 60, 61, 62, 63, 125, 126, 127, 128, 1000, 8191, 16384]
LARGE_EVERY = 40


def compose(sender, target):
    n = sender * 7919 + target * 104729
    head = f'{{"type":"call-{TYPES[n % len(TYPES)]}","to":"user-{target}","id":{sender},'
    body = f'{head} "big":12345678901234567890123, "esc":"\\u00e9\\/", "data":"'
    is_large = n % LARGE_EVERY == 0
    fill = MESSAGE_MAX_BYTES - len(body) - 2 if is_large else SIZES[n % len(SIZES)]
    return f'{body}{"y" * fill}"}}'


def compose_received(sender, target):
    return f'{{"from":"user-{sender}",{compose(sender, target)[1:]}'


async def exchange(client, user, peers):
    """Sends to all others, one at a time, while it takes in what they send."""
    received = {}
    acked = asyncio.Event()

    async def take_in():
        acks = 0
        while len(received) < peers or acks < peers:
            text, message = await receive(client)
            if message["type"] == "ack":
                acks += 1
                acked.set()
            elif "from" in message:
                assert message["from"] not in received, text[:200]
                received[message["from"]] = text
            else:
                raise AssertionError(text)

    taking_in = asyncio.create_task(take_in())
    for step in range(1, USERS):
        acked.clear()
        await client.send(compose(user, (user + step) % USERS))
        waiting = asyncio.create_task(acked.wait())
        await asyncio.wait({waiting, taking_in}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if taking_in.done():
            break
    await taking_in
    return received


class Delivery(unittest.IsolatedAsyncioTestCase):
    async def test_every_ordered_pair(self):
        async with ServerSet(gateways=GATEWAYS) as servers:
            clients = await asyncio.gather(
                *(servers.connect(u % GATEWAYS, f"user-{u}", protocol=True) for u in range(USERS))
            )
            for client in clients:
                self.assertEqual(client.subprotocol, "switchboard.v1")
                self.assertEqual((await receive(client))[1]["type"], "welcome")
            everything = await asyncio.gather(
                *(exchange(client, user, USERS - 1) for user, client in enumerate(clients))
            )
            for target, received in enumerate(everything):
                for sender in set(range(USERS)) - {target}:
                    text = received[f"user-{sender}"]
                    self.assertTrue(text == compose_received(sender, target), text[:200])
            await asyncio.gather(*(client.close() for client in clients))

    async def test_plain_client(self):
        async with ServerSet(gateways=2) as servers:
            alice = await servers.connect(0, "alice")
            bob = await servers.connect(1, "bøb ☎")
            self.assertIsNone(alice.subprotocol)
            await alice.send(json.dumps({"type": "call-start", "to": "bøb ☎", "id": "m1"}))
            self.assertEqual((await receive(bob))[1]["from"], "alice")
            await alice.send(json.dumps({"type": "call-start", "to": "bob", "id": "m2"}))
            error = (await receive(alice))[1]
            self.assertEqual((error["code"], error["id"]), ("user-offline", "m2"))
            await (await alice.ping(b"payload"))
            await alice.close(1000, "bye")
            await bob.close()

    async def test_closes(self):
        async with ServerSet(gateways=2) as servers:
            old = await servers.connect(0, "alice", "phone")
            new = await servers.connect(1, "alice", "phone")
            await asyncio.wait_for(old.wait_closed(), 20)
            self.assertEqual(old.close_code, 4501)
            await new.send(b"binary")
            await asyncio.wait_for(new.wait_closed(), 20)
            self.assertEqual(new.close_code, 1003)
            with self.assertRaises(websockets.InvalidStatusCode) as caught:
                await servers.connect(0, "")
            self.assertEqual(caught.exception.status_code, 400)
            last = await servers.connect(0, "last")
            servers.programs[1].process.terminate()
            await asyncio.wait_for(last.wait_closed(), 20)
            self.assertEqual(last.close_code, 1001)


if __name__ == "__main__":
    unittest.main()
