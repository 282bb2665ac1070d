"""A small client of Seam's bus in another language: docs/bus.md is all it was written from.

It calls RPCs and hears topics, with CURVE. Needs pyzmq (Debian: python3-zmq) and nothing else.

    peer = Peer(Keys(secret), pub_endpoint, rpc_endpoint)
    reply = peer.call("job.snapshot@1", {"chain": "ltc"})
    for event in peer.hear("job.announced@1", "ltc"): ...
"""

import hashlib
import hmac
import json
import os
import struct
import time
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85

HEADER = struct.Struct("<2sBB8sQI")  # magic, version, kind, boot id, sequence, timeout in ms
MAGIC, VERSION = b"SM", 1
MESSAGE, BEAT, REQUEST, REPLY, ERROR, HELLO, WELCOME = range(1, 8)
MAX_FRAME_BYTES = 16 * 1024 * 1024


class BusError(Exception):
    """A call failed; `code` is for programs."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class WireError(ValueError):
    """Bytes that are no bus message."""


def hkdf_sha256(secret, salt, info, length):
    """RFC 5869, for at most 32 bytes."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()[:length]


class Keys:
    """What one mesh secret gives: a key id and two CURVE key pairs as (public, secret) in Z85."""

    def __init__(self, secret):
        material = secret.strip().encode("utf-8")
        self.key_id = hkdf_sha256(material, b"seam mesh v1", b"key id", 4).hex()
        self.server = self._pair(material, b"curve server")
        self.client = self._pair(material, b"curve client")

    @staticmethod
    def _pair(material, use):
        secret = z85.encode(hkdf_sha256(material, b"seam mesh v1", use, 32))
        return zmq.curve_public(secret), secret


@dataclass
class Header:
    kind: int
    boot_id: str
    sequence: int = 0
    timeout_ms: int = 0

    def encode(self):
        boot = bytes.fromhex(self.boot_id)
        return HEADER.pack(MAGIC, VERSION, self.kind, boot, self.sequence, self.timeout_ms)

    @staticmethod
    def decode(frame):
        if len(frame) < HEADER.size:
            raise WireError(f"header of {len(frame)} bytes")
        magic, version, kind, boot, sequence, timeout_ms = HEADER.unpack(frame[: HEADER.size])
        if magic != MAGIC or version not in (VERSION, VERSION + 1):
            raise WireError(f"magic {magic!r}, version {version}")
        return Header(kind, boot.hex(), sequence, timeout_ms)


@dataclass
class Event:
    """What a subscription tells: a message, or (`is_gap`) that some were lost or sent before we joined."""

    key: str
    sequence: int
    is_gap: bool
    message: object = None
    attachments: list = field(default_factory=list)


class Peer:
    """One process of the pool, named by the endpoints and the key id of its registry record."""

    def __init__(self, keys, pub_endpoint, rpc_endpoint, role="launcher", name="python"):
        self.keys = keys
        self.pub_endpoint = pub_endpoint
        self.boot_id = os.urandom(8).hex()
        self.server_boot_id = None
        self._correlation = 0
        self._context = zmq.Context()
        self._dealer = self._socket(zmq.DEALER)
        self._dealer.connect(rpc_endpoint)
        hello = json.dumps({"role": role, "id": name}).encode()
        self._dealer.send_multipart([Header(HELLO, self.boot_id).encode(), hello])

    def call(self, subject, request, timeout_ms=2000, attachments=()):
        """Calls an RPC once and returns its reply. Raises BusError."""
        self._correlation += 1
        correlation = self._correlation
        header = Header(REQUEST, self.boot_id, correlation, timeout_ms)
        body = json.dumps(request).encode()
        self._dealer.send_multipart([header.encode(), subject.encode(), body, *attachments])
        end = time.monotonic() + timeout_ms / 1000
        while True:
            left_ms = int((end - time.monotonic()) * 1000)
            if left_ms <= 0 or not self._dealer.poll(left_ms):
                raise BusError("timeout", f"no reply within {timeout_ms} ms")
            answer, body = self._receive_answer()
            if answer.kind == WELCOME:
                self.server_boot_id = answer.boot_id
            elif answer.sequence != correlation:
                continue  # Of a call that timed out.
            elif answer.kind == REPLY:
                return json.loads(body)
            elif answer.kind == ERROR:
                error = json.loads(body)
                raise BusError(error["code"], error["message"])

    def hear(self, subject, key="", timeout_ms=5000):
        """Yields events of a topic until none comes for `timeout_ms`. Key "" hears every key."""
        socket = self._socket(zmq.SUB)
        try:
            socket.setsockopt(zmq.SUBSCRIBE, f"{subject}|{key}".encode())
            socket.connect(self.pub_endpoint)
            last = {}
            end = time.monotonic() + timeout_ms / 1000
            while True:
                left_ms = int((end - time.monotonic()) * 1000)
                if left_ms <= 0 or not socket.poll(left_ms):
                    return
                for event in self._events(socket.recv_multipart(), key, last):
                    yield event
                    end = time.monotonic() + timeout_ms / 1000
        finally:
            socket.close(linger=0)

    def close(self):
        self._dealer.close(linger=0)
        self._context.term()

    def _receive_answer(self):
        frames = self._dealer.recv_multipart()
        if len(frames) < 2:
            raise WireError(f"{len(frames)} frames")
        return Header.decode(frames[0]), frames[1]

    @staticmethod
    def _events(frames, wanted, last):
        topic, head, *rest = frames
        _, _, key = topic.decode().partition("|")
        if wanted not in ("", key):
            return  # The prefix "ltc" hears "ltc2" too.
        header = Header.decode(head)
        stream = (header.boot_id, key)
        before = last.get(stream, 0)
        last[stream] = max(before, header.sequence)
        expected = header.sequence if header.kind == BEAT else header.sequence - 1
        if expected > before:
            yield Event(key, header.sequence, True)
        if header.kind == MESSAGE and header.sequence > before:
            body, *attachments = rest
            yield Event(key, header.sequence, False, json.loads(body), attachments)

    def _socket(self, kind):
        socket = self._context.socket(kind)
        socket.curve_serverkey = self.keys.server[0]
        socket.curve_publickey, socket.curve_secretkey = self.keys.client
        socket.setsockopt(zmq.HEARTBEAT_IVL, 250)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 1000)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        return socket
