import { describe, expect, test } from 'vitest';
import { LineFramer } from './line-framer.ts';

const bytes = (text: string) => Buffer.from(text);
const texts = (lines: readonly Uint8Array[]) => lines.map((line) => Buffer.from(line).toString());

describe('LineFramer', () => {
  test('gives every line of a chunk, without LF or CRLF', () => {
    const framer = new LineFramer(64);
    const framed = framer.push(bytes('{"id":1}\n{"id":2}\r\n{"id":3}\n'));
    expect(framed.kind).toBe('lines');
    expect(texts(framed.lines)).toEqual(['{"id":1}', '{"id":2}', '{"id":3}']);
    expect(framer.pendingBytes).toBe(0);
  });

  test('copies nothing of a line that lies in one chunk', () => {
    const chunk = bytes('abc\n');
    const [line] = new LineFramer(64).push(chunk).lines;
    expect(line?.buffer).toBe(chunk.buffer);
  });

  test('carries an unfinished line over chunks, split anywhere', () => {
    const framer = new LineFramer(64);
    const lines = 'one\r\ntwo\n'.split('').flatMap((byte) => texts(framer.push(bytes(byte)).lines));
    expect(lines).toEqual(['one', 'two']);
  });

  test('does not keep the read buffer of an unfinished line', () => {
    const framer = new LineFramer(64);
    const chunk = bytes('part');
    framer.push(chunk);
    chunk.fill(0);
    expect(texts(framer.push(bytes('ial\n')).lines)).toEqual(['partial']);
  });

  test('skips empty lines', () => {
    expect(texts(new LineFramer(64).push(bytes('\n\r\n\na\n\n')).lines)).toEqual(['a']);
  });

  test('gives its unfinished line to the one that takes over', () => {
    const before = new LineFramer(64);
    before.push(bytes('done\nunfini'));
    expect(Buffer.from(before.partial).toString()).toBe('unfini');
    const after = new LineFramer(64, before.partial);
    expect(texts(after.push(bytes('shed\n')).lines)).toEqual(['unfinished']);
  });

  test('takes a line of exactly the bound, with LF and with CRLF, whole or in pieces', () => {
    for (const end of ['\n', '\r\n']) {
      const text = `12345678${end}`;
      expect(texts(new LineFramer(8).push(bytes(text)).lines)).toEqual(['12345678']);
      const framer = new LineFramer(8);
      const lines = text.split('').flatMap((byte) => texts(framer.push(bytes(byte)).lines));
      expect(lines).toEqual(['12345678']);
    }
  });

  test.each([
    ['a finished line', '123456789\n'],
    ['an unfinished line', '123456789'],
    ['a line with many CR', '12345678\r\r'],
  ])('ends at %s above the bound, and stays ended', (_, text) => {
    const framer = new LineFramer(8);
    const framed = framer.push(bytes(`good\n${text}`));
    expect(framed.kind).toBe('line_too_long');
    expect(texts(framed.lines)).toEqual(['good']);
    expect(framer.pendingBytes).toBe(0);
    expect(framer.push(bytes('more\n'))).toEqual({ kind: 'line_too_long', lines: [] });
  });
});
