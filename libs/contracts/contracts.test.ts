/** Every contract: its example goes over the wire and back, each wrong field is refused, its frames never change. */
import { assert, describe as suite, expect, test } from 'vitest';
import type { z } from 'zod';
import {
  decodeBody,
  decodeHeader,
  decodePublication,
  decodeReply,
  decodeRequest,
  encodeBody,
  encodePublication,
  encodeReply,
  encodeRequest,
  type FrameHeader,
  type Frames,
} from '#libs/bus/frame.ts';
import { findContracts, type FoundContract } from '#tools/docs/contracts.ts';
import { EXAMPLES, type Example } from './contracts.fixture.ts';
import { violationsOf, withUnknownFields } from './violations.fixture.ts';

const contracts = await findContracts();
const header: FrameHeader = {
  kind: 'message',
  bootId: 'fedcba9876543210',
  sequence: 7,
  timeoutMs: 0,
};

interface Part {
  readonly name: 'message' | 'request' | 'reply';
  readonly schema: z.ZodType;
  readonly value: unknown;
  readonly frames: Frames;
  /** Reads the frames as the bus does. */
  readonly read: (frames: Frames) => { readonly body: Uint8Array; readonly attachments: Frames };
}

function partsOf({ subject, contract }: FoundContract, example: Example): readonly Part[] {
  const { attachments } = example;
  if (contract.kind === 'topic' && example.kind === 'topic') {
    const { key, message: value } = example;
    const frames = encodePublication(subject, key, header, encodeBody(value), attachments);
    return [{ name: 'message', schema: contract.schema, value, frames, read: decodePublication }];
  }
  assert(
    contract.kind === 'rpc' && example.kind === 'rpc',
    `${subject} has an example of the other kind`,
  );
  const ask: FrameHeader = { ...header, kind: 'request', timeoutMs: contract.timeoutMs };
  const answer: FrameHeader = { ...header, kind: 'reply' };
  return [
    {
      name: 'request',
      schema: contract.request,
      value: example.request,
      frames: encodeRequest(ask, subject, encodeBody(example.request), attachments),
      read: (frames) => decodeRequest(decodeHeader(frames[0] ?? new Uint8Array()), frames),
    },
    {
      name: 'reply',
      schema: contract.reply,
      value: example.reply,
      frames: encodeReply(answer, encodeBody(example.reply)),
      read: (frames) => decodeReply(decodeHeader(frames[0] ?? new Uint8Array()), frames),
    },
  ];
}

/** A frame a line: what is text as JSON of it, what is not as hex. */
function golden(frames: Frames): string {
  return frames.map((frame) => `${lineOf(Buffer.from(frame))}\n`).join('');
}

function lineOf(frame: Buffer): string {
  const text = frame.toString('utf8');
  return /^[\x20-\x7e]+$/.test(text) ? `text ${text}` : `hex ${frame.toString('hex')}`;
}

function framesOf(text: string): Frames {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, form, rest = ''] = /^(text|hex) (.*)$/.exec(line) ?? [];
      return Buffer.from(rest, form === 'hex' ? 'hex' : 'utf8');
    });
}

test('every contract has an example, and every example a contract', () => {
  assert.deepEqual(
    Object.keys(EXAMPLES).toSorted(),
    contracts.map(({ subject }) => subject).toSorted(),
  );
});

test('every contract says who sends it to whom', () => {
  for (const { subject, comment } of contracts) assert.include(comment, '->', subject);
});

for (const found of contracts) {
  const example = EXAMPLES[found.subject];
  if (example === undefined) continue; // Told by the first test.
  suite(found.subject, () => {
    for (const part of partsOf(found, example)) {
      const { name, schema, value, frames, read } = part;

      test(`its ${name} is what docs/bus.md and version 1 say, byte for byte`, async () => {
        const path = `../../test/golden/frames/${found.subject}.${name}.txt`;
        const text = golden(frames);
        await expect(text).toMatchFileSnapshot(path);
        const received = read(framesOf(text));
        assert.deepEqual(schema.parse(decodeBody(received.body)), value);
        const attachments = name === 'reply' ? [] : example.attachments;
        assert.deepEqual(
          received.attachments.map((bytes) => [...bytes]),
          attachments.map((bytes) => [...bytes]),
        );
      });

      test(`its ${name} of a later release is read without what it adds`, () => {
        const later = withUnknownFields(schema, value);
        assert.include(JSON.stringify(later), 'fieldOfLater');
        assert.deepEqual(schema.parse(later), value);
      });

      test(`its ${name} is refused with any one field wrong`, () => {
        const violations = violationsOf(schema, value);
        assert.isAbove(violations.length, 1);
        const taken = violations.filter((violation) => schema.safeParse(violation.value).success);
        assert.deepEqual(
          taken.map(({ what }) => what),
          [],
        );
      });
    }
  });
}
