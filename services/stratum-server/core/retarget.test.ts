import { describe, expect, test } from 'vitest';
import { profileOf } from '#libs/stratum/user-agent.ts';
import { makeJob } from './job.fixture.ts';
import { difficultyForJob, retargeted, rulesOf } from './retarget.ts';
import { newSession } from './session.ts';
import { LISTENER } from './transcript.fixture.ts';
import { confirmDifficulty } from './work.ts';

const session = newSession({
  conn: 'c',
  peerAddress: '',
  listener: { ...LISTENER, startDifficulty: 1_000, minDifficulty: 10 },
  openedMs: 0,
  sessionId: '',
});
const now = { nowMs: 0, networkDifficulty: 1e6 };

describe('rulesOf()', () => {
  test('takes the highest floor of listener, user agent and miner', () => {
    const nicehash = { ...session, profile: profileOf('NiceHash/1') };
    const options = { fixed: 0, start: 0, min: 600_000, max: 0 };
    expect(rulesOf(session, now).minDifficulty).toBe(10);
    expect(rulesOf(nicehash, now).minDifficulty).toBe(524_288);
    expect(rulesOf({ ...nicehash, options }, now).minDifficulty).toBe(600_000);
  });
});

describe('retargeted()', () => {
  const rows = [
    ['starts where the listener says', {}, 1_000],
    ['starts where the miner says', { start: 50 }, 50],
    ['takes a fixed one before a start', { start: 50, fixed: 70 }, 70],
    ['never starts below the floor', { start: 1 }, 10],
    ['never starts above the network', { fixed: 1e9 }, 1e6],
    ['never starts above the miner’s bound', { max: 500 }, 500],
  ] as const;
  for (const [what, wishes, difficulty] of rows) {
    test(what, () => {
      const options = { fixed: 0, start: 0, min: 0, max: 0, ...wishes };
      expect(retargeted({ ...session, options }, now).vardiff.difficulty).toBe(difficulty);
    });
  }
});

describe('difficultyForJob()', () => {
  /** Jobs 1, 2, 3… given out in this order. */
  const order = (id: string) => Number.parseInt(id, 16);
  const mark = (n: number) => makeJob({ id: n }).jobId;
  const ask = (steps: readonly (readonly [number, number])[], n: number) =>
    difficultyForJob(
      {
        difficulties: steps.map(([difficulty, at]) => ({
          difficulty,
          mark: at === 0 ? '' : mark(at),
        })),
      },
      makeJob({ id: n }),
      (other) => n < order(other),
    );
  const rows = [
    ['before anything was told there is none', [], 1, undefined],
    ['the first one holds from the first job', [[5, 0]], 1, [5, undefined]],
    [
      'a later one holds from its job on',
      [
        [5, 0],
        [9, 3],
      ],
      3,
      [9, undefined],
    ],
    [
      'and for those after it',
      [
        [5, 0],
        [9, 3],
      ],
      4,
      [9, undefined],
    ],
    [
      'and not for those before it',
      [
        [5, 0],
        [9, 3],
      ],
      2,
      [5, undefined],
    ],
    [
      'a lower one told since counts too',
      [
        [5, 0],
        [2, 3],
      ],
      2,
      [5, 2],
    ],
    [
      'the lowest of several',
      [
        [9, 0],
        [2, 3],
        [4, 5],
        [8, 7],
      ],
      2,
      [9, 2],
    ],
    [
      'only of those told since',
      [
        [1, 0],
        [9, 3],
        [4, 5],
      ],
      3,
      [9, 4],
    ],
    [
      'one confirmed for an older job holds for it',
      [
        [5, 0],
        [9, 7],
        [9, 4],
      ],
      4,
      [9, undefined],
    ],
  ] as const;
  for (const [what, steps, job, wanted] of rows) {
    test(what, () => {
      const found = ask(steps, job);
      expect(found && [found.sentWith, found.lowerSince]).toEqual(wanted);
    });
  }
});

describe('confirmDifficulty()', () => {
  const told = { ...session, difficulties: [{ difficulty: 9, mark: makeJob({ id: 7 }).jobId }] };

  test('says the present difficulty again for a job that was known before it was told', () => {
    const [next, effects] = confirmDifficulty(told, makeJob({ id: 4 }), true);
    expect(next.difficulties.at(-1)).toEqual({ difficulty: 9, mark: makeJob({ id: 4 }).jobId });
    expect(effects.map(({ kind }) => kind)).toEqual(['remember']);
  });

  test('says nothing where the order is as it should be', () => {
    expect(confirmDifficulty(told, makeJob({ id: 8 }), false)).toEqual([told, []]);
    expect(confirmDifficulty(session, makeJob({ id: 8 }), true)).toEqual([session, []]);
  });
});
