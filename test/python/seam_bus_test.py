"""What seam-bus.test.ts lets the Python client do against a real bus. Prints one JSON line a step."""

import json
import pathlib
import sys

from seam_bus import BEAT, Header, BusError, Keys, Peer

ROOT = pathlib.Path(__file__).parents[2]


def say(step, **what):
    print(json.dumps({"step": step, **what}), flush=True)


def derive():
    """The keys of every vector, from the secret alone."""
    vectors = json.loads((ROOT / "test/vectors/mesh-keys.json").read_text("utf-8"))
    for vector in vectors["valid"]:
        keys = Keys(vector["secret"])
        assert keys.key_id == vector["keyId"], vector["note"]
        for name, pair in (("server", keys.server), ("client", keys.client)):
            expected = (vector[name]["publicKey"], vector[name]["secretKey"])
            assert tuple(part.decode() for part in pair) == expected, vector["note"]
    say("derived", count=len(vectors["valid"]))


def decode():
    """The golden beat, which Python must read and write as TypeScript does."""
    _, head = (ROOT / "test/golden/frames/beat.hex").read_text().split()
    header = Header.decode(bytes.fromhex(head))
    assert header == Header(BEAT, "fedcba9876543210", 7, 0), header
    assert header.encode().hex() == head
    say("decoded")


def talk(secret, pub_endpoint, rpc_endpoint):
    peer = Peer(Keys(secret), pub_endpoint, rpc_endpoint, role="reporter", name="snake")
    reply = peer.call("test.echo@1", {"text": "häl\0o"}, attachments=[b"\x00\xff"])
    say("replied", reply=reply, server=peer.server_boot_id)
    for subject, request in (("test.echo@1", {"text": 5}), ("test.absent@1", {})):
        try:
            peer.call(subject, request)
        except BusError as error:
            say("refused", code=error.code)
    for event in peer.hear("test.noted@1", "ltc", timeout_ms=20_000):
        attachments = [attachment.hex() for attachment in event.attachments]
        say("heard", gap=event.is_gap, message=event.message, attachments=attachments)
        if event.message == {"n": -1}:
            break
    peer.close()


def knock(secret, pub_endpoint, rpc_endpoint):
    """With another secret nothing comes back."""
    peer = Peer(Keys(secret), pub_endpoint, rpc_endpoint)
    try:
        peer.call("test.echo@1", {"text": "let me in"}, timeout_ms=700)
    except BusError as error:
        say("refused", code=error.code)
    peer.close()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"derive": derive, "decode": decode, "talk": talk, "knock": knock}[command](*arguments)
