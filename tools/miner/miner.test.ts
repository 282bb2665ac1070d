import { afterAll, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { FakePool, type Fault } from './fake-pool.fixture.ts';
import { HashThread } from './hash-thread.ts';
import { Miner, type MinerOptions } from './miner.ts';
import { combine, type FaultKind, isInOrder, PROBE_KINDS } from './report.ts';

const hashThread = new HashThread();
afterAll(() => hashThread[Symbol.asyncDispose]());

function minerOf(pool: FakePool, options: Partial<MinerOptions> = {}): Miner {
  return new Miner({
    url: pool.url,
    username: 'addr.rig',
    algorithm: pool.algorithm,
    hashrateHps: pool.algorithm === 'scrypt' ? 1_000 : 50_000,
    reconnectMs: 10,
    hashThread,
    ...options,
  });
}

const accepted = (miner: Miner, count: number) => () => miner.tally.report.accepted >= count;

describe('Miner', () => {
  for (const algorithm of ['sha256d', 'scrypt'] as const) {
    for (const versionRolling of [false, true]) {
      test(`mines ${algorithm}${versionRolling ? ' with version rolling' : ''} and finds nothing wrong`, async () => {
        await using pool = await FakePool.start(algorithm);
        const miner = minerOf(pool, { versionRolling });
        await waitFor(accepted(miner, 5));
        pool.announce('refresh');
        await waitFor(accepted(miner, 8));
        pool.announce('block');
        await waitFor(accepted(miner, 12));
        await waitFor(() => miner.tally.report.hashes > 0);
        const report = await miner.stop();
        expect(report.problems).toEqual([]);
        expect(isInOrder(report)).toBe(true);
        expect(report.accepted).toBe(pool.accepted);
        expect(report).toMatchObject({
          rejected: {},
          connects: 1,
          disconnects: 0,
          notifies: 3,
          cleanNotifies: 2,
        });
      });
    }
  }

  test('counts blocks by itself', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { hashrateHps: Infinity });
    const hashes: string[] = [];
    miner.on('block', (hash, isAccepted) => isAccepted && hashes.push(hash));
    await waitFor(() => hashes.length >= 2);
    const report = await miner.stop();
    expect(report.blocksAccepted).toBe(report.blocks);
    expect(report.blocks).toBeGreaterThanOrEqual(2);
    expect(hashes.every((hash) => hash <= `000fffff${'0'.repeat(56)}`)).toBe(true);
  });

  test('has every probe refused as it must be', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { versionRolling: true, probes: PROBE_KINDS, probeEvery: 1 });
    await waitFor(accepted(miner, 3));
    pool.announce('block');
    const isProbed = () => PROBE_KINDS.every((kind) => miner.report.probes[kind].asExpected > 0);
    await waitFor(isProbed, { what: 'all probes' });
    const report = await miner.stop();
    expect(report.problems).toEqual([]);
    expect(report.accepted).toBe(pool.accepted);
  });

  test('comes again with its session and keeps its extranonce1', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { reconnects: true });
    await waitFor(accepted(miner, 2));
    const before = miner.extranonce1;
    pool.dropAll();
    await waitFor(() => miner.tally.report.resumed === 1);
    const count = miner.tally.report.accepted;
    await waitFor(accepted(miner, count + 2));
    expect(miner.extranonce1).toBe(before);
    const report = await miner.stop();
    expect(report).toMatchObject({ connects: 2, disconnects: 1, resumed: 1 });
  });

  test('ends without reconnecting when it may not', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool);
    let ended = '';
    miner.on('ended', (reason) => (ended = reason));
    await waitFor(accepted(miner, 1));
    pool.dropAll();
    await waitFor(() => ended !== '');
    expect((await miner.stop()).connects).toBe(1);
  });

  test('checks who is paid in solo', async () => {
    await using pool = await FakePool.start();
    pool.ownerScript = `0014${'99'.repeat(20)}`;
    const miner = minerOf(pool, { payeeScript: pool.ownerScript });
    await waitFor(accepted(miner, 2));
    expect((await miner.stop()).problems).toEqual([]);
  });

  test('takes a new extranonce with the next notify', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { subscribesExtranonce: true });
    await waitFor(accepted(miner, 2));
    const [peer] = pool.peers;
    peer?.socket.write('{"id":null,"method":"mining.set_extranonce","params":["deadbeef",8]}\n');
    if (peer !== undefined) peer.extranonce1 = 'deadbeef';
    pool.announce('block');
    await waitFor(() => miner.extranonce1 === 'deadbeef');
    const count = miner.tally.report.accepted;
    await waitFor(accepted(miner, count + 2));
    await miner.stop();
  });

  test('mines at a new difficulty from the next job on', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { hashrateHps: Infinity });
    const difficulties: number[] = [];
    miner.on('accepted', ({ difficulty }) => difficulties.push(difficulty));
    await waitFor(accepted(miner, 2));
    const before = pool.difficulty;
    pool.difficulty = before * 4;
    pool.announce('refresh');
    await waitFor(() => difficulties.includes(before * 4));
    const report = await miner.stop();
    expect(report.problems).toEqual([]);
    expect(report.difficultyChanges).toBe(2);
  });

  test('answers pings and questions', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { userAgent: 'tester/1' });
    await waitFor(() => pool.peers.size === 1 && miner.tally.report.notifies > 0);
    const [peer] = pool.peers;
    const heard: string[] = [];
    peer?.socket.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
    peer?.socket.write(
      '{"id":7,"method":"mining.ping","params":[]}\n{"id":8,"method":"client.get_version","params":[]}\n',
    );
    await waitFor(() => heard.join('').includes('"id":8,"result":"tester/1"'));
    expect(heard.join('')).toContain('"id":7,"result":"pong"');
    await miner.stop();
  });

  test('several miners are one report', async () => {
    await using pool = await FakePool.start();
    const miners = [1, 2, 3].map((ordinal) => minerOf(pool, { username: `addr.${ordinal}` }));
    await waitFor(() => miners.every((miner) => miner.tally.report.accepted > 0));
    await Promise.all(miners.map((miner) => miner.stop()));
    const report = combine(miners.map((miner) => miner.tally));
    expect(report).toMatchObject({ miners: 3, connects: 3 });
    expect(report.accepted).toBe(pool.accepted);
    expect(report.answerMs.p99).toBeGreaterThanOrEqual(report.answerMs.p50);
  });
});

describe('Miner finds a pool that', () => {
  const cases: readonly [Fault, FaultKind, Partial<MinerOptions>?][] = [
    ['answers_twice', 'answered_twice'],
    ['swaps_answers', 'out_of_order'],
    ['reuses_job_id', 'job_id_reused'],
    ['accepts_anything', 'wrong_verdict', { probes: ['low_difficulty'], probeEvery: 1 }],
    ['refuses_good', 'wrong_verdict'],
    ['version_in_mask', 'version_in_mask', { versionRolling: true }],
    ['notifies_early', 'wrong_order'],
    ['no_difficulty', 'wrong_order'],
    ['numbers_as_fields', 'malformed_notify'],
    ['difficulty_on_old_job', 'difficulty_without_job'],
    ['pays_somebody_else', 'wrong_payee', { payeeScript: `0014${'99'.repeat(20)}` }],
    ['talks_nonsense', 'unknown_answer'],
    ['talks_nonsense', 'malformed_line'],
    ['falls_silent', 'no_new_work', { workMaxMs: 50 }],
  ];
  test.each(cases)('%s: %s', async (fault, kind, options = {}) => {
    await using pool = await FakePool.start();
    pool.faults.add(fault);
    const miner = minerOf(pool, options);
    const announcing = setInterval(() => fault !== 'falls_silent' && pool.announce('refresh'), 50);
    await waitFor(() => miner.tally.report.faults[kind] > 0, { what: kind });
    clearInterval(announcing);
    await miner.stop();
  });

  test('never_answers, when the connection ends', async () => {
    await using pool = await FakePool.start();
    pool.faults.add('never_answers');
    const miner = minerOf(pool);
    await waitFor(() => miner.tally.report.submitted > 0);
    miner.drop();
    const report = await miner.stop();
    expect(report.faults.never_answered).toBe(report.submitted);
  });

  test('says stale where nothing changed, after a time of grace', async () => {
    await using pool = await FakePool.start();
    pool.faults.add('says_stale');
    const miner = minerOf(pool, { staleGraceMs: 100 });
    await waitFor(() => miner.tally.report.faults.wrong_verdict > 0, {
      what: 'the end of the grace',
    });
    await miner.stop();
  });

  test('says stale just before it tells of the new block, as in order', async () => {
    await using pool = await FakePool.start();
    pool.faults.add('says_stale');
    const miner = minerOf(pool, { hashrateHps: 2_000 });
    await waitFor(() => (miner.tally.report.rejected['21'] ?? 0) > 0);
    pool.faults.clear();
    pool.announce('block');
    await waitFor(() => miner.tally.report.stale > 0);
    expect((await miner.stop()).problems).toEqual([]);
  });

  test('refuses its worker', async () => {
    await using pool = await FakePool.start();
    const miner = minerOf(pool, { username: 'bad' });
    await waitFor(() => miner.tally.report.faults.refused_worker > 0);
    await miner.stop();
  });
});

test('a URL that is none is refused', () => {
  expect(
    () => new Miner({ url: 'http://x', username: 'a', algorithm: 'sha256d', hashThread }),
  ).toThrow(TypeError);
});
