import { assert, describe, expect, test } from 'vitest';
import { parseRequest } from '#libs/stratum/request.ts';
import { decodeCapsule, encodeCapsule } from './capsule.ts';
import { makeJob } from './job.fixture.ts';
import { emptyBook, stepBook } from './jobs.ts';
import { RecentShares } from './recent-shares.ts';
import { capsuleOf, missingWork, sessionOf } from './restore.ts';
import { newSession, resume } from './session.ts';
import { LISTENER, START_MS, TranscriptPool } from './transcript.fixture.ts';

const ADDRESS = 'bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t';
const submit = (id: number, nonce: string) =>
  JSON.stringify({
    id,
    method: 'mining.submit',
    params: [`${ADDRESS}.a`, '0000000000000001', '0000000000000000', '6553f100', nonce],
  });

/** A session in which everything was said that a capsule holds. */
function talkative(mode: 'pool' | 'solo'): TranscriptPool {
  const pool = new TranscriptPool({ ...LISTENER, mode });
  pool.receive(
    '{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty"],{"minimum-difficulty.value":1e-9}]}',
    '{"id":2,"method":"mining.subscribe","params":["cgminer/4.12.0"]}',
    '{"id":3,"method":"mining.extranonce.subscribe"}',
    `{"id":4,"method":"mining.authorize","params":["${ADDRESS}.a","md=2e-9"]}`,
    `{"id":5,"method":"mining.authorize","params":["${ADDRESS}_b","x"]}`,
  );
  pool.receive(submit(6, '00000004'), submit(7, '0000000b'), submit(8, '00000001'));
  pool.receive('{"id":9,"method":"mining.suggest_difficulty","params":[1e-8]}');
  pool.announce(makeJob({ id: 2, nbits: 0x1d00ffff }));
  return pool;
}

const opening = { conn: 'c1', peerAddress: '192.0.2.1', listener: LISTENER, openedMs: START_MS };

describe('a session', () => {
  for (const mode of ['pool', 'solo'] as const) {
    test(`in ${mode} comes back from its capsule as it was`, () => {
      const { session, recent } = talkative(mode);
      const content = decodeCapsule(encodeCapsule(capsuleOf(session, recent)));
      const restored = sessionOf(content, { ...opening, listener: session.listener });
      expect({ ...restored, junk: session.junk }).toEqual(session);
      expect(new RecentShares(content.fingerprintHeight, content.fingerprints)).toEqual(recent);
    });

    test(`in ${mode} comes back from what was appended line by line, but for its running window`, () => {
      const { session, recent, capsule } = talkative(mode);
      const fresh = new TranscriptPool({ ...LISTENER, mode });
      const base = encodeCapsule(capsuleOf(fresh.session, fresh.recent));
      const content = decodeCapsule(Buffer.concat([base, ...capsule]));
      const restored = sessionOf(content, { ...opening, listener: session.listener });
      const { vardiff, junk } = session;
      expect({ ...restored, vardiff, junk }).toEqual(session);
      expect(restored.vardiff?.difficulty).toBe(session.vardiff?.difficulty);
      expect(new RecentShares(content.fingerprintHeight, content.fingerprints)).toEqual(recent);
    });
  }
});

describe('missingWork()', () => {
  const jobs = [
    makeJob({ id: 1, height: 100 }),
    makeJob({ id: 2, height: 101 }),
    makeJob({ id: 3, height: 101 }),
  ];
  const [book] = stepBook(
    stepBook(emptyBook('btc'), { kind: 'sources_seen', ready: [{ id: 'a', startedMs: 1 }] }, 1)[0],
    {
      kind: 'snapshot_taken',
      sourceId: 'a',
      startedMs: 1,
      jobs,
      lastTemplateAgeMs: 0,
      refused: [],
    },
    1,
  );
  const current = makeJob({ id: 3, height: 101 });
  const rows = [
    ['the present job was written', 3, 'nothing'],
    ['a job of the same parent was', 2, 'refresh'],
    ['a job of the block before was', 1, 'clean'],
    ['a job nobody knows was', 77, 'clean'],
  ] as const;
  for (const [what, id, wanted] of rows) {
    test(`is "${wanted}" if ${what}`, () =>
      expect(missingWork(book, current, makeJob({ id }).jobId)).toBe(wanted));
  }
  test('is "nothing" if a later job of the same parent was', () =>
    expect(missingWork(book, makeJob({ id: 2, height: 101 }), current.jobId)).toBe('nothing'));
  test('is "clean" if nothing was', () => expect(missingWork(book, current, '')).toBe('clean'));
});

test('a resumed session is told to its frontend too, or the next server would know nothing of it', () => {
  const { session } = talkative('pool');
  const fresh = newSession({ ...opening, sessionId: '0'.repeat(32) });
  const line = parseRequest(Buffer.from('{"id":1,"method":"mining.subscribe","params":["x"]}'));
  assert(line.kind === 'request' && line.method === 'mining.subscribe');
  const [, effects] = resume(fresh, session, line);
  expect(effects.map(({ kind }) => kind)).toContain('remember');
});
