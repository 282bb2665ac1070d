import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { ipv6Text } from './ip-text.ts';
import { encodeProxyHeader, tlv } from './proxy-header.fixture.ts';
import { PROXY_HEADER_BYTES_MAX, parseProxyHeader, UNIQUE_ID_BYTES_MAX } from './proxy-header.ts';

/** 46 characters, as HAProxy's format gives them. */
const ID = 'edge-1-CB007107:C822_0A000002:0D05_65F0C3A1_01';
/** PROTOCOL.md 1.5: 203.0.113.7:51234 -> 10.0.0.2:3333 with a unique id of 46 bytes. */
const VECTOR = Buffer.concat([
  Buffer.from('0d0a0d0a000d0a515549540a2111003dcb0071070a000002c8220d0505002e', 'hex'),
  Buffer.from(ID),
]);
const LOCAL_VECTOR = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
const ANY = {
  sourceAddress: '203.0.113.7',
  sourcePort: 51_234,
  uniqueId: undefined,
  tls: undefined,
};

function patched(bytes: Uint8Array, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}

suite('parseProxyHeader()', () => {
  test('reads the vector of PROTOCOL.md, and our encoder writes it', () => {
    const bytes = Buffer.concat([VECTOR, Buffer.from('{"id":1}\n')]);
    expect(parseProxyHeader(bytes)).toEqual({
      kind: 'header',
      header: { command: 'proxy', ...ANY, uniqueId: ID },
      length: 77,
    });
    expect(encodeProxyHeader({ uniqueId: ID }).equals(VECTOR)).toBe(true);
  });

  test('accepts LOCAL, whatever addresses it carries', () => {
    const header = {
      command: 'local',
      sourceAddress: '',
      sourcePort: 0,
      uniqueId: undefined,
      tls: undefined,
    };
    expect(parseProxyHeader(LOCAL_VECTOR)).toEqual({ kind: 'header', header, length: 16 });
    expect(parseProxyHeader(patched(VECTOR, 12, 0x20))).toEqual({
      kind: 'header',
      header,
      length: 77,
    });
  });

  test('reads IPv6, Unix and unknown sources', () => {
    const body = Buffer.alloc(36);
    Buffer.from('20010db8000000000000000000000007', 'hex').copy(body);
    body.writeUInt16BE(51_234, 32);
    const tcp6 = Buffer.concat([VECTOR.subarray(0, 12), Buffer.from([0x21, 0x21, 0, 36]), body]);
    expect(parseProxyHeader(tcp6)).toMatchObject({
      header: { sourceAddress: '2001:db8::7', sourcePort: 51_234 },
    });
    const unix = Buffer.concat([
      VECTOR.subarray(0, 12),
      Buffer.from([0x21, 0x31, 0, 216]),
      Buffer.alloc(216),
    ]);
    expect(parseProxyHeader(unix)).toMatchObject({
      header: { sourceAddress: 'unix', sourcePort: 0 },
    });
    const unspec = Buffer.concat([VECTOR.subarray(0, 12), Buffer.from([0x21, 0x00, 0, 0])]);
    expect(parseProxyHeader(unspec)).toMatchObject({
      header: { sourceAddress: '', sourcePort: 0 },
    });
  });

  test('reads TLS facts', () => {
    const tls = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', commonName: 'rig' };
    expect(parseProxyHeader(encodeProxyHeader({ tls }))).toMatchObject({
      header: { tls: { ...tls, isVerified: true } },
    });
    const unverified = encodeProxyHeader({ tls: { ...tls, verify: 19 } });
    expect(parseProxyHeader(unverified)).toMatchObject({ header: { tls: { isVerified: false } } });
    const plain = encodeProxyHeader({ tlvs: [tlv(0x20, Buffer.from([0, 0, 0, 0, 0]))] });
    expect(parseProxyHeader(plain)).toMatchObject({ header: { tls: undefined } });
  });

  test('checks the sum where there is one', () => {
    const right = encodeProxyHeader({ withSum: true, uniqueId: ID });
    expect(parseProxyHeader(right)).toMatchObject({ header: { uniqueId: ID } });
    expect(parseProxyHeader(patched(right, 16, 204))).toEqual({
      kind: 'refused',
      code: 'checksum',
    });
  });

  test('skips TLVs it does not know', () => {
    const bytes = encodeProxyHeader({
      uniqueId: ID,
      tlvs: [tlv(0x04, Buffer.alloc(9)), tlv(0xe0, Buffer.from('x'))],
    });
    expect(parseProxyHeader(bytes)).toMatchObject({ header: { uniqueId: ID } });
  });

  test('takes a unique id for none that would break a log line or a key', () => {
    for (const uniqueId of ['a b', 'a\nb', 'ä', '']) {
      expect(parseProxyHeader(encodeProxyHeader({ uniqueId }))).toMatchObject({
        header: { uniqueId: undefined },
      });
    }
  });

  test.each([
    ['another protocol', Buffer.from('{"id":1,"method":"mining.subscribe"}\n'), 'signature'],
    ['version 1', Buffer.from('PROXY TCP4 203.0.113.7 10.0.0.2 51234 3333\r\n'), 'signature'],
    ['version 3', patched(VECTOR, 12, 0x31), 'version'],
    ['an unknown command', patched(VECTOR, 12, 0x22), 'command'],
    ['datagrams', patched(VECTOR, 13, 0x12), 'family'],
    ['an unknown family', patched(VECTOR, 13, 0x41), 'family'],
    ['a length beyond the bound', patched(VECTOR, 14, 0xff), 'too_long'],
    [
      'addresses cut short',
      Buffer.concat([VECTOR.subarray(0, 14), Buffer.from([0, 5, 1, 2, 3, 4, 5])]),
      'address_truncated',
    ],
    ['a TLV past the end', patched(VECTOR, 30, 47), 'tlv_truncated'],
    ['a TLV without a length', encodeProxyHeader({ tlvs: [Buffer.from([4, 0])] }), 'tlv_truncated'],
    [
      'a TLS TLV cut short',
      encodeProxyHeader({ tlvs: [tlv(0x20, Buffer.from([1, 0]))] }),
      'tlv_truncated',
    ],
    [
      'a TLS sub-TLV cut short',
      encodeProxyHeader({ tlvs: [tlv(0x20, Buffer.from([1, 0, 0, 0, 0, 0x21, 0, 9]))] }),
      'tlv_truncated',
    ],
    [
      'a sum of the wrong size',
      encodeProxyHeader({ tlvs: [tlv(0x03, Buffer.alloc(3))] }),
      'checksum',
    ],
    [
      'a unique id too long',
      encodeProxyHeader({ uniqueId: 'x'.repeat(UNIQUE_ID_BYTES_MAX + 1) }),
      'unique_id',
    ],
  ] as const)('refuses %s', (_what, bytes, code) => {
    expect(parseProxyHeader(bytes)).toEqual({ kind: 'refused', code });
  });

  test('waits for every byte of a header', () => {
    const whole = encodeProxyHeader({ withSum: true, uniqueId: ID, tls: { version: 'TLSv1.3' } });
    for (let length = 0; length < whole.length; length += 1) {
      expect(parseProxyHeader(whole.subarray(0, length)), `${length} bytes`).toEqual({
        kind: 'incomplete',
      });
    }
    expect(parseProxyHeader(whole)).toMatchObject({ kind: 'header', length: whole.length });
  });

  test('refuses a wrong byte as soon as it is there', () => {
    expect(parseProxyHeader(Buffer.from('\r\n\r\nG'))).toEqual({
      kind: 'refused',
      code: 'signature',
    });
  });

  test('gives a verdict on any bytes, and waits for no more than its bound', () => {
    const hits = fc.array(fc.record({ at: fc.nat(76), value: fc.nat(255) }), { maxLength: 5 });
    const damaged = fc.tuple(hits, fc.uint8Array({ maxLength: 200 })).map(([places, rest]) => {
      const bytes = Buffer.concat([VECTOR, rest]);
      for (const { at, value } of places) bytes[at] = value;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        const verdict = parseProxyHeader(bytes);
        if (verdict.kind === 'header') expect(verdict.length).toBeLessThanOrEqual(bytes.length);
        const filled = Buffer.concat([bytes, Buffer.alloc(PROXY_HEADER_BYTES_MAX)]);
        expect(parseProxyHeader(filled).kind).not.toBe('incomplete');
      }),
    );
  });
});

test('crc32c() gives the check value of RFC 3720', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe306_9283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a91_36aa);
});

test.each([
  ['20010db8000000000000000000000001', '2001:db8::1'],
  ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
  ['20010000000000010000000000000001', '2001:0:0:1::1'],
  ['00000000000000000000000000000000', '::'],
  ['00000000000000000000000000000001', '::1'],
  ['00000000000000000000ffffcb007107', '203.0.113.7'],
])('ipv6Text(%s) is %s', (hex, text) => {
  expect(ipv6Text(Buffer.from(hex, 'hex'))).toBe(text);
});
