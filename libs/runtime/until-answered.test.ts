import { describe, expect, test } from 'vitest';
import { ConfigError, UnavailableError } from './errors.ts';
import { untilAnswered } from './until-answered.ts';

const ASK = { what: 'nothing there', timeoutMs: 20_000, signal: new AbortController().signal };

describe('untilAnswered()', () => {
  test('takes "undefined" and errors for "not yet"', async () => {
    const answers = [() => undefined, () => Promise.reject(new Error('away')), () => 7];
    expect(await untilAnswered(async () => await answers.shift()?.(), ASK)).toBe(7);
  });
  test('gives up with the last error as cause', async () => {
    const cause = new Error('away');
    const asking = untilAnswered(() => Promise.reject(cause), { ...ASK, timeoutMs: 0 });
    await expect(asking).rejects.toBeInstanceOf(UnavailableError);
    await expect(asking).rejects.toMatchObject({ cause });
  });
  test('does not wait for a wrong configuration to become right', async () => {
    const asking = untilAnswered(() => Promise.reject(new ConfigError(['wrong'])), ASK);
    await expect(asking).rejects.toBeInstanceOf(ConfigError);
  });
  test('ends when it is aborted', async () => {
    const stop = new AbortController();
    const asking = untilAnswered(async () => undefined, { ...ASK, signal: stop.signal });
    stop.abort();
    await expect(asking).rejects.toMatchObject({ name: 'AbortError' });
  });
});
