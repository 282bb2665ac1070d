import fc from 'fast-check';
import { assert, describe as suite, expect, test } from 'vitest';
import { WireError, type WireErrorCode } from './errors.ts';
import {
  ATTACHMENTS_MAX,
  decodeBody,
  decodeHeader,
  decodePublication,
  decodeReply,
  decodeRequest,
  encodeBody,
  encodeHeader,
  encodePublication,
  encodeReply,
  encodeRequest,
  type FrameHeader,
  type Frames,
  SUBJECT_BYTES_MAX,
} from './frame.ts';

const BOOT = '0123456789abcdef';
const HEADER_HEX = '534d01030123456789abcdef0200000001000000d0070000';
const header: FrameHeader = {
  kind: 'request',
  bootId: BOOT,
  sequence: 0x1_0000_0002,
  timeoutMs: 2_000,
};
const text = (value: string) => new TextEncoder().encode(value);

const headers = fc.record({
  kind: fc.constantFrom('message', 'beat', 'request', 'reply', 'error', 'hello', 'welcome'),
  bootId: fc
    .uint8Array({ minLength: 8, maxLength: 8 })
    .map((bytes) => Buffer.from(bytes).toString('hex')),
  sequence: fc.maxSafeNat(),
  timeoutMs: fc.nat(0xffff_ffff),
}) satisfies fc.Arbitrary<FrameHeader>;

function codeOf(read: () => unknown): WireErrorCode | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    assert.instanceOf(error, WireError);
    return error.code;
  }
}

/** The header above with one byte changed. */
function patched(offset: number, value: number): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(HEADER_HEX, 'hex'));
  bytes[offset] = value;
  return bytes;
}

suite('encodeHeader()', () => {
  test('writes the bytes that docs/bus.md draws', () => {
    assert.equal(Buffer.from(encodeHeader(header)).toString('hex'), HEADER_HEX);
  });
  for (const bad of [
    { bootId: 'ABCDEF0123456789' },
    { bootId: '00' },
    { sequence: -1 },
    { sequence: 0.5 },
    { sequence: 2 ** 53 },
    { timeoutMs: 2 ** 32 },
    { timeoutMs: -1 },
  ]) {
    test(`rejects ${JSON.stringify(bad)}`, () => {
      assert.throws(() => encodeHeader({ ...header, ...bad }), RangeError);
    });
  }
});

suite('decodeHeader()', () => {
  test('reads what encodeHeader() writes', () => {
    fc.assert(
      fc.property(headers, (one) => assert.deepEqual(decodeHeader(encodeHeader(one)), one)),
    );
  });
  test('rejects every truncation', () => {
    const whole = encodeHeader(header);
    for (let length = 0; length < whole.length; length += 1) {
      assert.equal(
        codeOf(() => decodeHeader(whole.subarray(0, length))),
        'truncated',
      );
    }
  });
  for (const [offset, value, code] of [
    [0, 0x00, 'bad_magic'],
    [1, 0x00, 'bad_magic'],
    [2, 0, 'unknown_version'],
    [2, 3, 'unknown_version'],
    [3, 0, 'unknown_kind'],
    [3, 99, 'unknown_kind'],
    [18, 0x20, 'too_large'],
    [19, 1, 'too_large'],
  ] as const) {
    test(`rejects byte ${offset} = ${value} as ${code}`, () => {
      assert.equal(
        codeOf(() => decodeHeader(patched(offset, value))),
        code,
      );
    });
  }
  test('reads version 2, with what it may append; version 1 has nothing to append', () => {
    const next = patched(2, 2);
    assert.deepEqual(decodeHeader(next), header);
    assert.deepEqual(decodeHeader(Buffer.concat([next, text('more')])), header);
    assert.equal(
      codeOf(() => decodeHeader(Buffer.concat([next, Buffer.alloc(300)]))),
      'too_large',
    );
    assert.equal(
      codeOf(() => decodeHeader(Buffer.concat([encodeHeader(header), text('more')]))),
      'too_large',
    );
  });
});

suite('publications', () => {
  const message: FrameHeader = { ...header, kind: 'message', timeoutMs: 0 };
  test('come back as they were', () => {
    const attachments = fc.array(fc.uint8Array(), { maxLength: ATTACHMENTS_MAX });
    const key = fc.stringMatching(/^[a-z0-9|.-]{0,20}$/);
    fc.assert(
      fc.property(key, fc.uint8Array(), attachments, (one, body, attached) => {
        const read = decodePublication(encodePublication('a.b@1', one, message, body, attached));
        assert.deepEqual(read, {
          subject: 'a.b@1',
          key: one,
          header: message,
          body,
          attachments: attached,
        });
      }),
    );
  });
  test('without a body are beats', () => {
    const beat = { ...message, kind: 'beat' } as const;
    const {
      subject,
      header: read,
      body,
    } = decodePublication(encodePublication('a@1', 'k', beat, undefined));
    assert.deepEqual([subject, read.kind, body.length], ['a@1', 'beat', 0]);
  });
  test('are refused to the sender when they would be refused by the receiver', () => {
    const send = (key: string, attachments: Frames) => () =>
      encodePublication('a@1', key, message, text('{}'), attachments);
    assert.throws(send('k'.repeat(SUBJECT_BYTES_MAX), []), RangeError);
    assert.throws(
      send(
        'k',
        Array.from({ length: ATTACHMENTS_MAX + 1 }, () => text('')),
      ),
      RangeError,
    );
  });
  const head = encodeHeader(message);
  for (const [what, frames, code] of [
    ['no frame', [], 'bad_frames'],
    ['no header', [text('a@1|')], 'bad_frames'],
    ['a message without body', [text('a@1|'), head], 'bad_frames'],
    ['no key', [text('a@1'), head, text('{}')], 'bad_subject'],
    [
      'a long subject',
      [text(`a@1|${'k'.repeat(SUBJECT_BYTES_MAX)}`), head, text('{}')],
      'bad_subject',
    ],
    [
      'a reply',
      [text('a@1|'), encodeHeader({ ...message, kind: 'reply' }), text('{}')],
      'unknown_kind',
    ],
    [
      'many attachments',
      [text('a@1|'), head, ...Array.from({ length: 18 }, () => text('{}'))],
      'bad_frames',
    ],
  ] as const satisfies readonly (readonly [string, Frames, WireErrorCode])[]) {
    test(`with ${what} are rejected as ${code}`, () => {
      assert.equal(
        codeOf(() => decodePublication(frames)),
        code,
      );
    });
  }
});

suite('requests and replies', () => {
  test('come back as they were', () => {
    const frames = encodeRequest(header, 'a.b@1', text('{}'), [text('x')]);
    const [head = text(''), ...rest] = frames;
    assert.deepEqual(decodeHeader(head), header);
    assert.equal(rest.length, 3);
    const request = decodeRequest(header, frames);
    assert.deepEqual([request.subject, String(request.body)], ['a.b@1', String(text('{}'))]);
    const reply = decodeReply(header, encodeReply(header, text('[]'), [text('y')]));
    assert.deepEqual([reply.body, reply.attachments], [text('[]'), [text('y')]]);
  });
  test('with too few frames are rejected', () => {
    assert.equal(
      codeOf(() => decodeRequest(header, [encodeHeader(header), text('a@1')])),
      'bad_frames',
    );
    assert.equal(
      codeOf(() => decodeReply(header, [encodeHeader(header)])),
      'bad_frames',
    );
  });
});

/** The edge catches WireError and nothing else: whatever comes must be read or be one. */
test('reading any frames gives a message or a WireError', () => {
  const noise = fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), headers.map(encodeHeader)), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(noise, (frames) => {
      codeOf(() => decodePublication(frames));
      codeOf(() => decodeHeader(frames[0] ?? text('')));
      codeOf(() => decodeRequest(header, frames));
      codeOf(() => decodeReply(header, frames));
      codeOf(() => decodeBody(frames[0] ?? text('')));
    }),
  );
});

suite('bodies', () => {
  test('are JSON in UTF-8', () => {
    assert.deepEqual(decodeBody(encodeBody({ a: 'ü' })), { a: 'ü' });
    assert.equal(
      Buffer.from(encodeBody({ a: 'ü' })).toString('hex'),
      Buffer.from('{"a":"ü"}').toString('hex'),
    );
  });
  for (const body of ['', '{', '\xff', 'undefined']) {
    test(`rejects ${JSON.stringify(body)}`, () => {
      assert.equal(
        codeOf(() => decodeBody(Buffer.from(body, 'latin1'))),
        'bad_body',
      );
    });
  }
  test('that are too large are refused to the sender', () => {
    assert.throws(() => encodeBody('x'.repeat(16 * 1_024 * 1_024)), RangeError);
  });
});

suite('frames that no contract describes are as committed', () => {
  const of = (kind: FrameHeader['kind'], sequence: number): FrameHeader => ({
    kind,
    bootId: 'fedcba9876543210',
    sequence,
    timeoutMs: 0,
  });
  const self = encodeBody({ role: 'stratum-server', id: 'stratum-server-1' });
  const error = encodeBody({ code: 'remote', message: 'the node is on fire' });
  for (const [name, frames] of [
    ['beat', encodePublication('job.announced@1', 'ltc', of('beat', 7), undefined)],
    ['hello', encodeReply(of('hello', 0), self)],
    ['welcome', encodeReply(of('welcome', 0), self)],
    ['error', encodeReply(of('error', 7), error)],
  ] as const) {
    test(name, async () => {
      const hex = frames.map((frame) => `${Buffer.from(frame).toString('hex')}\n`).join('');
      await expect(hex).toMatchFileSnapshot(`../../test/golden/frames/${name}.hex`);
    });
  }
});
