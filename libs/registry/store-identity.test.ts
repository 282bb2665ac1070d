import { describe, expect, test } from 'vitest';
import { newStoreSign } from './store-identity.ts';

const KNOWN = { generation: 'g1', runId: 'r1', answeredMs: 1_000 };

describe('newStoreSign()', () => {
  for (const { what, seen, sign } of [
    { what: 'the same store, soon', seen: { ...KNOWN, answeredMs: 6_000 }, sign: undefined },
    { what: 'emptied', seen: { ...KNOWN, generation: 'g2', runId: 'r2' }, sign: 'generation' },
    { what: 'restarted with old data', seen: { ...KNOWN, runId: 'r2' }, sign: 'run_id' },
    { what: 'away for long', seen: { ...KNOWN, answeredMs: 6_001 }, sign: 'silence' },
  ])
    test(`${what}: ${sign}`, () => expect(newStoreSign(KNOWN, seen, 5_000)).toBe(sign));
});
