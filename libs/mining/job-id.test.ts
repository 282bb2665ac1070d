import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jobSchema } from '#libs/contracts/job.ts';
import { makeJob } from './job.fixture.ts';
import { jobIdOf } from './job-id.ts';

describe('jobIdOf()', () => {
  const job = makeJob();

  test('is 16 digits that do not change with the version of Seam', () => {
    expect(job.jobId).toBe('a70fdb5af8fa7f79');
    expect(jobSchema.parse(job)).toEqual(job);
  });

  test('does not depend on the order of fields', () => {
    const reversed = Object.fromEntries(Object.entries(job).toReversed()) as typeof job;
    expect(jobIdOf(reversed)).toBe(job.jobId);
  });

  const changes: readonly [string, Parameters<typeof makeJob>[0]][] = [
    ['chain', { chain: 'ltc' }],
    ['height', { height: 840_001 }],
    ['parent', { parent: 'ab'.repeat(32) }],
    ['version', { version: 0x2000_0001 }],
    ['version mask', { versionMask: 0 }],
    ['nbits', { nbits: 0x1d00ffff }],
    ['curtime', { curtime: 1_700_000_001 }],
    ['mintime', { mintime: 1_699_990_001 }],
    ['merkle branch', { merkleBranch: ['33'.repeat(32)] }],
    ['order of the branch', { merkleBranch: [...job.merkleBranch].reverse() }],
    ['body', { bodyId: null }],
    ...Object.entries(job.coinbase).map(
      ([name, value]): [string, Parameters<typeof makeJob>[0]] => {
        const other =
          typeof value === 'number' ? value + 1 : typeof value === 'string' ? `${value}00` : [];
        return [`coinbase ${name}`, { coinbase: { ...job.coinbase, [name]: other } }];
      },
    ),
  ];
  test.each(changes)('differs with another %s', (_, change) => {
    expect(makeJob(change).jobId).not.toBe(job.jobId);
  });

  test('no text can pass for its neighbour', () => {
    const hex = fc.stringMatching(/^([0-9a-f]{2}){0,4}$/);
    fc.assert(
      fc.property(hex, hex, hex, hex, (a, b, c, d) => {
        fc.pre(a !== c || b !== d);
        const of = (scriptSigHead: string, scriptSigTail: string) =>
          makeJob({ coinbase: { ...job.coinbase, scriptSigHead, scriptSigTail } }).jobId;
        expect(of(a, b)).not.toBe(of(c, d));
      }),
    );
  });
});
