import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseRequest } from './request.ts';
import { parseSubmitParams } from './submit-params.ts';

/** Any kind of line: noise, JSON of any shape, and requests with anything as parameters. */
const line = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .record({
      id: fc.jsonValue(),
      method: fc.oneof(
        fc.string(),
        fc.constantFrom(
          'mining.subscribe',
          'mining.authorize',
          'mining.submit',
          'mining.configure',
          'mining.suggest_difficulty',
          'mining.suggest_target',
          'mining.multi_version',
          'mining.get_transactions',
          '__proto__',
          'toString',
        ),
      ),
      params: fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue(), { maxLength: 8 })),
    })
    .map((request) => Buffer.from(JSON.stringify(request))),
);

test('every line becomes a value with an id that can be echoed', () => {
  fc.assert(
    fc.property(line, (bytes) => {
      const parsed = parseRequest(bytes);
      expect(['request', 'response', 'malformed']).toContain(parsed.kind);
      const id: unknown = JSON.parse(parsed.idJson);
      expect(id === null || ['string', 'number'].includes(typeof id)).toBe(true);
      expect(parsed.idJson.includes('\n')).toBe(false);
    }),
    { numRuns: 3_000 },
  );
});

test('no line changes a prototype', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('__proto__', 'constructor', 'prototype'),
      fc.jsonValue(),
      (key, value) => {
        const text = `{"id":1,"method":"mining.configure","params":[["a"],{"${key}":${JSON.stringify(value)}}]}`;
        parseRequest(Buffer.from(text));
        expect(Object.keys(Object.prototype)).toEqual([]);
      },
    ),
  );
});

test('submit parameters of any kind give a verdict', () => {
  const param = fc.oneof(fc.jsonValue(), fc.stringMatching(/^[0-9a-fA-F]{0,20}$/));
  fc.assert(
    fc.property(fc.array(param, { maxLength: 8 }), (params) => {
      const parsed = parseSubmitParams(params, 8);
      if (parsed.kind === 'valid') expect(parsed.submit.extranonce2.length).toBe(8);
    }),
    { numRuns: 3_000 },
  );
});

test('whatever the case of its hex, a submit has one meaning', () => {
  const hex = (chars: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${chars}}$`));
  const submit = fc.tuple(fc.constant('w'), hex(16), hex(16), hex(8), hex(8), hex(8));
  fc.assert(
    fc.property(submit, (params) => {
      const [name, ...rest] = params;
      const upper = [name, ...rest.map((text) => text.toUpperCase())];
      expect(parseSubmitParams(upper, 8)).toEqual(parseSubmitParams(params, 8));
    }),
  );
});
