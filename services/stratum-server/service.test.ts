import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keys } from '#libs/contracts/keys.ts';
import { sessionResumed } from '#libs/contracts/session-resumed.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { makeJob, parentOf } from './core/job.fixture.ts';
import {
  ADDRESS,
  createWorld,
  OTHER_ADDRESS,
  type ServerInWorld,
  type TestFrontend,
  type TestJobmanager,
  type World,
} from './world.fixture.ts';

/** A job at a difficulty at which no share of these tests solves the block, unless it says so. */
const nowSec = Math.floor(Date.now() / 1000);
const job = (id: number, height = 100, nbits = 0x1d00ffff) =>
  makeJob({ id, height, nbits, curtime: nowSec });
/** Every second hash solves it. */
const EASY = 0x207fffff;

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

interface Running {
  readonly server: ServerInWorld;
  readonly jobmanager: TestJobmanager;
  readonly frontend: TestFrontend;
}

async function running(nbits?: number): Promise<Running> {
  const jobmanager = world.startJobmanager('jobmanager-btc-1', 1_000);
  jobmanager.jobs.push(job(1, 100, nbits));
  const server = await world.startServer();
  await waitFor(() => server.isReady(), { what: 'the server to be ready' });
  const frontend = await world.connectFrontend(server);
  return { server, jobmanager, frontend };
}

describe('a miner', () => {
  test('gets its answers in order, then difficulty, then job; all in one packet', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    await miner.login(`${ADDRESS}.rig`, 'cgminer/4.12.0');
    expect(miner.messages.map((m) => m.method ?? m.id)).toEqual([
      'subscribe',
      'authorize',
      'mining.set_difficulty',
      'mining.notify',
    ]);
    expect(miner.notifies[0]?.[0]).toBe(job(1).jobId);
    expect(miner.notifies[0]?.[8]).toBe(true);
    expect(miner.acknowledged).toBe(2);
    expect(miner.capsule.length).toBeGreaterThan(0);
    expect(miner.idle).toContain('mining.ping');
  });

  test('hears every verdict', async () => {
    const { frontend, jobmanager } = await running();
    const miner = frontend.connect();
    expect(await miner.ask({ id: 1, method: 'mining.submit', params: ['w', 'x'] })).toMatchObject([
      { error: [25, 'Not subscribed', null] },
    ]);
    await miner.login();
    const share = miner.solve(2, job(1));
    const [accepted, duplicate, low, unauthorized, malformed, unknown] = await miner.ask(
      share,
      { ...share, id: 3 },
      miner.solve(4, job(1), { above: 1e-10, below: 1e-9 }),
      { ...share, id: 5, params: ['nobody', ...(share.params ?? []).slice(1)] },
      { ...share, id: 6, params: [...(share.params ?? []).slice(0, 4), 'xyz'] },
      { ...miner.solve(7, job(66)) },
    );
    expect(accepted).toMatchObject({ result: true, error: null });
    expect(duplicate).toMatchObject({ result: null, error: [22, 'Duplicate share', null] });
    expect(low).toMatchObject({ error: [23, 'Low difficulty share', null] });
    expect(unauthorized).toMatchObject({ error: [24, 'Unauthorized worker', null] });
    expect(malformed).toMatchObject({ error: [20, 'malformed submit', null] });
    expect(unknown).toMatchObject({ error: [21, 'Job not found (=stale)', null] });
    jobmanager.announce(job(2, 101));
    await waitFor(() => miner.notifies.length === 2);
    const [stale, fresh] = await miner.ask(
      miner.solve(8, job(1), { skip: 3 }),
      miner.solve(9, job(2, 101)),
    );
    expect(stale).toMatchObject({ error: [21, 'Job not found (=stale)', null] });
    expect(fresh).toMatchObject({ result: true });
  });

  test('gets a refresh that is not clean and a block that is, cast once to all', async () => {
    const { frontend, jobmanager, server } = await running();
    const miners = [frontend.connect(), frontend.connect(), frontend.connect()];
    for (const miner of miners) await miner.login();
    jobmanager.announce(job(2));
    jobmanager.announce(job(3, 101));
    for (const miner of miners) {
      await waitFor(() => miner.notifies.length === 3);
      expect(miner.notifies.map((params) => [params[0], params[8]])).toEqual([
        [job(1).jobId, true],
        [job(2).jobId, false],
        [job(3).jobId, true],
      ]);
      expect(miner.marks.at(-1)?.toString('hex')).toBe(job(3).jobId);
      expect([...miner.groups]).toHaveLength(1);
    }
    expect(await world.metric(server, 'seam_stratum_sessions')).toBe(3);
  });

  test('in solo mines for its own address, and the pool’s address does not appear', async () => {
    const { frontend, jobmanager } = await running(EASY);
    const miner = frontend.connect('solo');
    await miner.login();
    const script = `0014${'01'.repeat(20)}`;
    expect(miner.notifies[0]?.[3]).toContain(script);
    expect(miner.notifies[0]?.[3]).not.toContain(job(1).coinbase.poolScript);
    const [refused] = await miner.ask({
      id: 7,
      method: 'mining.authorize',
      params: [`${OTHER_ADDRESS}.rig`, 'x'],
    });
    expect(refused).toMatchObject({
      result: false,
      error: [24, expect.stringContaining('owns'), null],
    });
    const [found] = await miner.ask(miner.solve(8, job(1, 100, EASY), { owner: script }));
    expect(found).toMatchObject({ result: true });
    await waitFor(() => jobmanager.submitted.length > 0);
    expect(jobmanager.submitted[0]?.coinbase).toContain(script);
    jobmanager.announce(job(2, 101));
    await waitFor(() => miner.notifies.length === 2);
    expect(miner.notifies[1]?.[3]).toContain(script);
    expect([...miner.groups]).toEqual([]);
  });

  test('whose lines make no sense is answered, and after too many of them closed', async () => {
    const { frontend, server } = await running();
    const miner = frontend.connect();
    miner.say('garbage', '{"id":1', '[]');
    await waitFor(() => miner.messages.length === 3);
    expect(miner.messages[0]).toMatchObject({ id: null, error: [20, expect.any(String), null] });
    expect(miner.acknowledged).toBe(3);
    miner.say(...Array.from({ length: 100 }, () => 'x'));
    await waitFor(() => miner.closed !== undefined);
    expect(miner.closed).toBe('too_much_junk');
    await waitFor(async () => (await world.metric(server, 'seam_stratum_sessions')) === 0);
  });

  test('that never subscribes is closed', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    miner.say({ id: 1, method: 'mining.ping' });
    await waitFor(() => miner.acknowledged === 1);
    world.aheadMs = 30_001;
    await waitFor(() => miner.closed !== undefined);
    expect(miner.closed).toBe('unsubscribed');
  });

  test('comes back with its session id to its extranonce1 and name', async () => {
    const { frontend } = await running();
    const lost = frontend.connect();
    await lost.login();
    await waitFor(() => world.redis.client.exists(keys.resume(lost.sessionId)));
    lost.leave();
    const back = frontend.connect();
    const [subscribed] = await back.ask({
      id: 'subscribe',
      method: 'mining.subscribe',
      params: ['test/1', lost.sessionId],
    });
    expect(subscribed).toMatchObject({ error: null });
    expect(back.extranonce1).toBe(lost.extranonce1);
    expect(back.sessionId).toBe(lost.sessionId);
    await waitFor(() => back.notifies.length === 1);
    expect(back.difficulties).toEqual(lost.difficulties);
    const [accepted] = await back.ask(back.solve(5, job(1)));
    expect(accepted).toMatchObject({ result: true });
  });

  test('that comes back while its old connection still seems to live closes the old one', async () => {
    const { frontend } = await running();
    const lost = frontend.connect();
    await lost.login();
    await waitFor(() => world.redis.client.exists(keys.resume(lost.sessionId)));
    const back = frontend.connect();
    await back.ask({
      id: 'subscribe',
      method: 'mining.subscribe',
      params: ['test/1', lost.sessionId],
    });
    expect(back.extranonce1).toBe(lost.extranonce1);
    await waitFor(() => lost.closed !== undefined);
    expect(lost.closed).toBe('resumed');
  });

  test('with an unknown session id gets a new session', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    await miner.ask({ id: 'subscribe', method: 'mining.subscribe', params: ['x', '0'.repeat(32)] });
    expect(miner.sessionId).not.toBe('0'.repeat(32));
    expect(miner.extranonce1).toHaveLength(8);
  });
});

describe('a job asked for by its id', () => {
  test('of another server is found at a jobmanager, and lines behind it keep their order', async () => {
    const { frontend, jobmanager } = await running();
    const miner = frontend.connect();
    await miner.login();
    jobmanager.shelf.push(job(9));
    const before = miner.messages.length;
    await miner.ask(
      miner.solve(1, job(9)),
      { id: 2, method: 'mining.ping' },
      miner.solve(3, job(1)),
      miner.solve(4, job(9)),
    );
    const answers = miner.messages.slice(before);
    expect(answers.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(answers.map(({ result }) => result)).toEqual([true, 'pong', true, null]);
    expect(miner.acknowledged).toBe(6);
  });

  test('is found in Redis when no jobmanager knows it', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    await miner.login();
    await world.redis.client.set(keys.job('btc', job(9).jobId), JSON.stringify(job(9)));
    expect(await miner.ask(miner.solve(1, job(9)))).toMatchObject([{ result: true }]);
  });

  test('in vain is not asked for again and again', async () => {
    const { frontend, jobmanager } = await running();
    const miner = frontend.connect();
    await miner.login();
    for (const id of [1, 2, 3]) await miner.ask(miner.solve(id, job(66), { skip: id }));
    expect(jobmanager.lookups).toBe(1);
  });
});

describe('a solved block', () => {
  test('is called out to all jobmanagers, journaled, and settled by the first that takes it', async () => {
    const { frontend, jobmanager, server } = await running(EASY);
    const second = world.startJobmanager('jobmanager-btc-2', 2_000);
    second.answer = () => ({ outcome: 'duplicate', reason: '' });
    const miner = frontend.connect();
    await miner.login();
    expect(await miner.ask(miner.solve(1, job(1, 100, EASY)))).toMatchObject([{ result: true }]);
    await waitFor(() => jobmanager.submitted.length === 1 && second.submitted.length === 1);
    const [submission] = jobmanager.submitted;
    expect(submission).toEqual(second.submitted[0]);
    expect(submission?.header).toHaveLength(160);
    expect(submission?.worker).toBe(`${ADDRESS}.rig`);
    await waitFor(
      async () => (await world.metric(server, 'seam_block_candidates_unsettled')) === 0,
    );
    const settled = await world.metric(server, 'seam_block_candidates_total');
    expect(settled).toBe(1);
  });

  test('is tried again until somebody has a verdict', async () => {
    const { frontend, jobmanager, server } = await running(EASY);
    const answers = ['unavailable', 'body_unknown', 'accepted'] as const;
    jobmanager.answer = () => {
      const outcome = answers[jobmanager.submitted.length - 1] ?? 'accepted';
      return { outcome, reason: '' };
    };
    const miner = frontend.connect();
    await miner.login();
    await miner.ask(miner.solve(1, job(1, 100, EASY)));
    await waitFor(() => jobmanager.submitted.length === 3);
    await waitFor(
      async () =>
        (await world.metric(server, 'seam_block_candidates_total', { outcome: 'accepted' })) === 1,
    );
  });

  test('that all refuse is settled as rejected, and its share still counts', async () => {
    const { frontend, jobmanager, server } = await running(EASY);
    jobmanager.answer = () => ({ outcome: 'rejected', reason: 'high-hash' });
    const miner = frontend.connect();
    await miner.login();
    expect(await miner.ask(miner.solve(1, job(1, 100, EASY)))).toMatchObject([{ result: true }]);
    await waitFor(
      async () =>
        (await world.metric(server, 'seam_block_candidates_total', { outcome: 'rejected' })) === 1,
    );
    expect(jobmanager.submitted).toHaveLength(1);
  });

  test('is still sent when its height has passed: a late block is a block', async () => {
    const { frontend, jobmanager } = await running(EASY);
    const miner = frontend.connect();
    await miner.login();
    jobmanager.announce(job(2, 101));
    await waitFor(() => miner.notifies.length === 2);
    expect(await miner.ask(miner.solve(1, job(1, 100, EASY)))).toMatchObject([{ result: true }]);
    await waitFor(() => jobmanager.submitted.length === 1);
  });

  test('is sent though its share is refused, and once however often it comes', async () => {
    const { frontend, jobmanager, server } = await running(EASY);
    const miner = frontend.connect();
    await miner.login();
    const early = miner.solve(1, job(1, 100, EASY), { ntime: nowSec - 601 });
    const [refused] = await miner.ask(early, { ...early, id: 2 });
    expect(refused).toMatchObject({ error: [20, 'ntime too old', null] });
    const good = miner.solve(3, job(1, 100, EASY));
    const [accepted, duplicate] = await miner.ask(good, { ...good, id: 4 });
    expect(accepted).toMatchObject({ result: true });
    expect(duplicate).toMatchObject({ error: [22, 'Duplicate share', null] });
    const settled = () =>
      world.metric(server, 'seam_block_candidates_total', { outcome: 'accepted' });
    await waitFor(async () => (await settled()) === 2);
    await miner.ask({ ...early, id: 5 }, { ...good, id: 6 });
    const last = miner.solve(7, job(1, 100, EASY), { skip: 1 });
    expect(await miner.ask(last)).toMatchObject([{ result: true }]);
    await waitFor(async () => (await settled()) === 3);
    expect(jobmanager.submitted.map(({ hash }) => hash)).toHaveLength(3);
    expect(new Set(jobmanager.submitted.map(({ hash }) => hash)).size).toBe(3);
  });

  test('that nobody took is offered again by who adopts the journal', async () => {
    const { frontend, jobmanager, server } = await running(EASY);
    jobmanager.answer = () => ({ outcome: 'unavailable', reason: 'no node' });
    const miner = frontend.connect();
    await miner.login();
    await miner.ask(miner.solve(1, job(1, 100, EASY)));
    await waitFor(() => jobmanager.submitted.length > 0);
    await server.stop();
    const tried = jobmanager.submitted.length;
    jobmanager.answer = () => ({ outcome: 'accepted', reason: '' });
    const next = await world.startServer('stratum-server-2');
    await waitFor(
      async () =>
        (await world.metric(next, 'seam_block_candidates_total', { outcome: 'accepted' })) === 1,
    );
    expect(jobmanager.submitted.length).toBeGreaterThan(tried);
    expect(jobmanager.submitted.at(-1)?.hash).toBe(jobmanager.submitted[0]?.hash);
  });
});

describe('a session moves to another server', () => {
  async function twoServers() {
    const first = await running();
    const server2 = await world.startServer('stratum-server-2');
    await waitFor(() => server2.isReady(), { what: 'the second server' });
    const frontend2 = await world.connectFrontend(server2);
    return { ...first, server2, frontend2 };
  }

  test('with its capsule and marks: nothing is said twice, and it mines on', async () => {
    const { frontend, frontend2 } = await twoServers();
    const miner = frontend.connect();
    await miner.login();
    const share = miner.solve(1, job(1));
    await miner.ask(share);
    const said = miner.messages.length;
    miner.openOn(frontend2);
    const [own, next] = await miner.ask({ ...share, id: 2 }, miner.solve(3, job(1), { skip: 1 }));
    expect(own).toMatchObject({ error: [22, 'Duplicate share', null] });
    expect(next).toMatchObject({ result: true });
    expect(miner.messages.length).toBe(said + 2);
    expect([...miner.groups]).toHaveLength(1);
  });

  test('and gets what it missed: a block clean, a refresh not', async () => {
    const { frontend, frontend2, jobmanager } = await twoServers();
    const missesBlock = frontend.connect();
    await missesBlock.login();
    frontend.connections.delete(missesBlock.handle);
    jobmanager.announce(job(2, 101));
    const missesRefresh = frontend.connect();
    await waitFor(() => frontend2.client.isUp);
    await missesRefresh.login();
    frontend.connections.delete(missesRefresh.handle);
    jobmanager.announce(job(3, 101));
    const other = frontend.connect();
    await other.login();
    await waitFor(() => other.notifies.at(-1)?.[0] === job(3).jobId);
    missesBlock.openOn(frontend2);
    missesRefresh.openOn(frontend2);
    await waitFor(() => missesBlock.notifies.length === 2 && missesRefresh.notifies.length === 2);
    expect(missesBlock.notifies.at(-1)?.slice(0, 1)).toEqual([job(3).jobId]);
    expect(missesBlock.notifies.at(-1)?.[8]).toBe(true);
    expect(missesRefresh.notifies.at(-1)?.[8]).toBe(false);
  });

  test('with lines that were never answered: judged as of their first arrival', async () => {
    const { frontend, frontend2, server, jobmanager } = await twoServers();
    const miner = frontend.connect();
    await miner.login();
    server.kill();
    miner.say(miner.solve(1, job(1)));
    jobmanager.announce(job(2, 101));
    const watcher = frontend2.connect();
    await watcher.login();
    await waitFor(() => watcher.notifies.at(-1)?.[0] === job(2).jobId);
    miner.openOn(frontend2, 1_000);
    await waitFor(() => miner.messages.some(({ id }) => id === 1));
    expect(miner.messages.find(({ id }) => id === 1)).toMatchObject({ result: true });
    const [late] = await miner.ask(miner.solve(2, job(1), { skip: 1 }));
    expect(late).toMatchObject({ error: [21, expect.any(String), null] });
  });

  test('when its server drains', async () => {
    const { frontend, frontend2, server } = await twoServers();
    const miners = Array.from({ length: 100 }, () => frontend.connect());
    for (const miner of miners) await miner.login();
    const drained = server.service.drain?.(AbortSignal.timeout(20_000));
    await waitFor(() => miners.every((miner) => miner.released));
    await drained;
    await waitFor(() => !frontend.accepts);
    expect(await world.metric(server, 'seam_stratum_sessions')).toBe(0);
    const [miner] = miners;
    if (miner === undefined) throw new Error('no miner');
    miner.openOn(frontend2);
    expect(await miner.ask(miner.solve(1, job(1)))).toMatchObject([{ result: true }]);
  });

  test('only with a capsule that can be read', async () => {
    const { frontend2, server2 } = await twoServers();
    const miner = frontend2.connect();
    await miner.login();
    miner.capsule = Buffer.from([1, 1, 200]);
    miner.openOn(frontend2);
    await waitFor(() => miner.closed !== undefined);
    expect(miner.closed).toBe('bad_capsule');
    expect(await world.metric(server2, 'seam_stratum_capsule_errors_total')).toBe(1);
  });

  test('and an older opening is not spoken for any more', async () => {
    const { frontend2 } = await twoServers();
    const miner = frontend2.connect();
    await miner.login();
    const opening = miner.opening;
    miner.openOn(frontend2);
    frontend2.client.send({
      kind: 'line',
      handle: miner.handle,
      opening,
      seq: 99,
      ageMs: 0,
      bytes: Buffer.from('{"id":99,"method":"mining.ping"}'),
    });
    await miner.ask({ id: 100, method: 'mining.ping' });
    expect(miner.messages.some(({ id }) => id === 99)).toBe(false);
  });
});

describe('the capsule', () => {
  test('is appended to share by share, and written anew before it grows too long', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    await miner.login();
    const shares = miner.solveMany(job(1), 1_000);
    for (let at = 0; at < shares.length; at += 50) {
      const answers = await miner.ask(...shares.slice(at, at + 50));
      expect(answers.filter(({ result }) => result !== true)).toEqual([]);
    }
    expect(miner.capsule.length).toBeLessThanOrEqual(8_192);
    expect(miner.capsuleSets).toBeGreaterThan(1);
    expect(miner.capsuleSets).toBeLessThan(8);
  });
});

describe('work', () => {
  test('of another jobmanager goes on when the first one dies, without a clean storm', async () => {
    const { frontend, jobmanager } = await running();
    const second = world.startJobmanager('jobmanager-btc-2', 2_000);
    second.announce(job(5));
    const miner = frontend.connect();
    await miner.login();
    world.mesh.kill(jobmanager.bootId);
    second.announce(job(6));
    await waitFor(() => miner.notifies.at(-1)?.[0] === job(6).jobId);
    expect(miner.notifies.slice(1).every((params) => params[8] === false)).toBe(true);
  });

  test('that a jobmanager announced while we did not hear is asked for', async () => {
    const { frontend, jobmanager } = await running();
    const miner = frontend.connect();
    await miner.login();
    world.mesh.loseNext(jobmanager.bootId, 1);
    jobmanager.announce(job(2, 101));
    await waitFor(() => miner.notifies.at(-1)?.[0] === job(2).jobId);
  });

  test('from nobody: listeners stay down, and whoever comes all the same waits a little for the first job', async () => {
    const server = await world.startServer();
    const frontend = await world.connectFrontend(server);
    await waitFor(() => frontend.listening.get('main') === false);
    const miner = frontend.connect();
    await miner.ask(
      { id: 'subscribe', method: 'mining.subscribe', params: [] },
      { id: 2, method: 'mining.authorize', params: [ADDRESS, 'x'] },
    );
    expect(miner.notifies).toEqual([]);
    const jobmanager = world.startJobmanager('jobmanager-btc-1', 1_000);
    jobmanager.announce(job(1));
    await waitFor(() => miner.notifies.length === 1 && frontend.listening.get('main') === true);
    expect(miner.notifies[0]?.[8]).toBe(true);
  });

  test('too old is not credited: miners are sent to their fallback, the listener goes down', async () => {
    const { frontend, jobmanager } = await running();
    const miner = frontend.connect();
    await miner.login();
    world.mesh.kill(jobmanager.bootId);
    world.registry.remove(jobmanager.bootId);
    world.aheadMs = 119_000;
    expect(await miner.ask(miner.solve(1, job(1)))).toMatchObject([{ result: true }]);
    world.aheadMs = 121_000;
    await waitFor(() => frontend.listening.get('main') === false);
    await waitFor(() => miner.closed !== undefined);
    expect(miner.closed).toBe('no_work');
    const late = frontend.connect();
    late.say({ id: 1, method: 'mining.subscribe' });
    await waitFor(() => late.closed !== undefined);
    expect(late.closed).toBe('no_work');
    const next = world.startJobmanager('jobmanager-btc-2', 2_000);
    next.announce({ ...job(2, 101), parent: parentOf(100) });
    await waitFor(() => frontend.listening.get('main') === true);
  });

  test('that no node confirms any more is not credited for longer because it is announced again', async () => {
    const { frontend, jobmanager } = await running();
    const miner = frontend.connect();
    await miner.login();
    world.aheadMs = 115_000;
    jobmanager.tipAgeMs = 115_000;
    jobmanager.announce(job(2));
    await waitFor(() => miner.notifies.at(-1)?.[0] === job(2).jobId);
    jobmanager.tipAgeMs = 121_000;
    world.aheadMs = 121_000;
    await waitFor(() => frontend.listening.get('main') === false);
  });

  test('too old with `hold`: nothing is credited, nobody is closed', async () => {
    const jobmanager = world.startJobmanager('jobmanager-btc-1', 1_000);
    jobmanager.jobs.push(job(1));
    const server = await world.startServer('stratum-server-1', { onNoWork: 'hold' });
    await waitFor(() => server.isReady());
    const frontend = await world.connectFrontend(server);
    const miner = frontend.connect();
    await miner.login();
    world.mesh.kill(jobmanager.bootId);
    world.registry.remove(jobmanager.bootId);
    world.aheadMs = 121_000;
    await waitFor(async () => (await world.metric(server, 'seam_stratum_has_work')) === 0);
    expect(await miner.ask(miner.solve(1, job(1)))).toMatchObject([
      { error: [20, 'no work at present', null] },
    ]);
    expect(frontend.listening.get('main')).toBe(true);
    expect(miner.closed).toBeUndefined();
  });
});

describe('what is kept', () => {
  test('extranonce1 is leased: two servers share no prefix, a value is never given out twice', async () => {
    const { frontend, server } = await running();
    const server2 = await world.startServer('stratum-server-2');
    await waitFor(() => server2.isReady());
    const frontend2 = await world.connectFrontend(server2);
    const miners = Array.from({ length: 60 }, (_, i) =>
      (i % 2 === 0 ? frontend : frontend2).connect(),
    );
    for (const miner of miners) {
      await miner.ask({ id: 'subscribe', method: 'mining.subscribe', params: [] });
    }
    expect(new Set(miners.map((miner) => miner.extranonce1)).size).toBe(60);
    for (const miner of miners) {
      const key = keys.extranoncePrefix(miner.extranonce1.slice(0, 6));
      expect(await world.redis.client.get(key)).toContain('stratum-server-');
      expect(await world.redis.client.pttl(key)).toBeGreaterThan(20 * 60_000);
    }
    expect(await world.metric(server, 'seam_extranonce_free_values')).toBeGreaterThan(4_000);
  });

  async function twoServers() {
    const first = await running();
    const server2 = await world.startServer('stratum-server-2');
    await waitFor(() => server2.isReady());
    return { ...first, server2, frontend2: await world.connectFrontend(server2) };
  }

  const holderOf = (extranonce1: string) =>
    world.redis.client.get(keys.extranonceHolder(extranonce1));
  const rested = (server: ServerInWorld, fate: string) =>
    world.metric(server, 'seam_extranonce_rested_values_total', { fate });

  test('extranonce1 of a closed connection is free again once nobody can come back for it', async () => {
    const { frontend, server } = await running();
    const miner = frontend.connect();
    await miner.login();
    miner.leave();
    await waitFor(async () => (await world.metric(server, 'seam_stratum_sessions')) === 0);
    expect(await rested(server, 'free')).toBe(0);
    world.aheadMs = 15 * 60_000 + 1;
    await waitFor(async () => (await rested(server, 'free')) === 1);
  });

  test('extranonce1 of a session that was resumed on another server is never given out here again', async () => {
    const { frontend, frontend2, server } = await twoServers();
    const lost = frontend.connect();
    await lost.login();
    await waitFor(() => world.redis.client.exists(keys.resume(lost.sessionId)));
    lost.leave();
    const back = frontend2.connect();
    const params = ['test/1', lost.sessionId];
    await back.ask({ id: 'subscribe', method: 'mining.subscribe', params });
    expect(back.extranonce1).toBe(lost.extranonce1);
    const holder = await waitFor(() => holderOf(back.extranonce1));
    expect(holder).toMatch(/^stratum-server-2\./);
    world.aheadMs = 15 * 60_000 + 1;
    await waitFor(async () => (await rested(server, 'moved')) === 1);
    expect(await rested(server, 'free')).toBe(0);
  });

  test('a connection whose miner resumed on another server is closed, and no other one', async () => {
    const { frontend, frontend2, server, server2 } = await twoServers();
    const [lost, other] = [frontend.connect(), frontend.connect()];
    for (const miner of [lost, other]) await miner.login();
    await waitFor(() => world.redis.client.exists(keys.resume(lost.sessionId)));
    const back = frontend2.connect();
    const params = ['test/1', lost.sessionId];
    await back.ask({ id: 'subscribe', method: 'mining.subscribe', params });
    await waitFor(() => lost.closed !== undefined);
    expect(lost.closed).toBe('resumed');
    const { extranonce1, sessionId } = other;
    server2.bus.publish(sessionResumed, '', { extranonce1, sessionId, conn: other.conn });
    const stranger = { extranonce1, sessionId: 'ab'.repeat(16), conn: 'c' };
    server2.bus.publish(sessionResumed, '', stranger);
    await other.ask({ id: 9, method: 'mining.ping' });
    expect(other.closed).toBeUndefined();
    expect(await world.metric(server, 'seam_stratum_sessions')).toBe(1);
    server2.bus.publish(sessionResumed, '', { ...stranger, sessionId });
    await waitFor(() => other.closed !== undefined); // It heard the ones before, too.
    expect(await back.ask(back.solve(5, job(1)))).toMatchObject([{ result: true }]);
  });

  test('extranonce1 that came with a capsule is marked, and its prefix renewed, at once', async () => {
    const { frontend, frontend2 } = await twoServers();
    const miner = frontend.connect();
    await miner.login();
    const prefix = keys.extranoncePrefix(miner.extranonce1.slice(0, 6));
    await world.redis.client.pexpire(prefix, 60_000);
    miner.openOn(frontend2);
    expect(await waitFor(() => holderOf(miner.extranonce1))).toMatch(/^stratum-server-2\./);
    await waitFor(async () => (await world.redis.client.pttl(prefix)) > 20 * 60_000);
    expect(await world.redis.client.get(prefix)).toMatch(/^stratum-server-1\./);
  });

  test('prefixes Redis forgot are asserted again', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    await miner.login();
    await world.redis.client.flushall();
    await world.registry.newGeneration();
    const key = keys.extranoncePrefix(miner.extranonce1.slice(0, 6));
    await waitFor(() => world.redis.client.get(key));
  });

  test('without Redis miners come, mine and go on', async () => {
    const { frontend } = await running();
    const early = frontend.connect();
    await early.login();
    await world.redis.kill();
    const late = frontend.connect();
    await late.login();
    expect(await early.ask(early.solve(1, job(1)))).toMatchObject([{ result: true }]);
    expect(await late.ask(late.solve(1, job(1)))).toMatchObject([{ result: true }]);
    await world.redis.start();
  });

  test('a connection is found in Redis under its id, and not after it left', async () => {
    const { frontend } = await running();
    const miner = frontend.connect();
    await miner.login();
    const key = keys.connection(miner.conn);
    const record = await waitFor(async () => {
      const text = await world.redis.client.get(key);
      return text?.includes('rig') === true ? text : undefined;
    });
    expect(JSON.parse(record)).toMatchObject({
      conn: miner.conn,
      server: 'stratum-server-1',
      workers: [`${ADDRESS}.rig`],
    });
    miner.leave();
    await waitFor(async () => (await world.redis.client.exists(key)) === 0);
  });

  test('shares stand in the journal before they are answered', async () => {
    const { frontend, server } = await running();
    const miner = frontend.connect();
    await miner.login();
    await miner.ask(miner.solve(1, job(1)), miner.solve(2, job(1), { skip: 1 }));
    const files = await readdir(join(world.runDir, 'journal'));
    expect(files.some((name) => name.startsWith('btc-') && name.endsWith('.jrn'))).toBe(true);
    expect(await world.metric(server, 'seam_journal_records_total')).toBeGreaterThanOrEqual(2);
  });
});
