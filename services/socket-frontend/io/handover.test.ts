import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, suite, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { encodeProxyHeader } from '../core/proxy-header.fixture.ts';
import { connectMiner, type TestMiner } from './frontend.fixture.ts';
import type { Fault } from './handover-process.fixture.ts';

const PROGRAM = join(import.meta.dirname, 'handover-process.fixture.ts');

interface Frontend {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
}

/** A folder with frontends in it, each a process. */
class Edge implements AsyncDisposable {
  readonly folder: string;
  readonly #frontends: Frontend[] = [];
  readonly #talkers: Talker[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  async start(fault: Fault = 'none'): Promise<Frontend> {
    const slot = this.#frontends.length + 1;
    const bootId = `00000000000000${slot + 160}`.slice(-16);
    const child = spawn(process.execPath, [PROGRAM, this.folder, String(slot), bootId, fault], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout?.on('data', (bytes) => {
      said += String(bytes);
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const frontend = { child, ended };
    this.#frontends.push(frontend);
    await waitFor(() => said.includes('ready'), { what: 'a frontend', timeoutMs: 20_000 });
    return frontend;
  }

  async talk(slot: number, count: number): Promise<readonly Talker[]> {
    const path = join(this.folder, `${slot}.main.sock`);
    const talkers = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const header = encodeProxyHeader({ uniqueId: `conn-${slot}-${index}` });
        return new Talker(await connectMiner(path, header));
      }),
    );
    this.#talkers.push(...talkers);
    return talkers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const talker of this.#talkers) talker.stop();
    for (const { child } of this.#frontends) child.kill('SIGKILL');
    await Promise.all(this.#frontends.map(async ({ ended }) => await ended));
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function newEdge(): Promise<Edge> {
  return new Edge(await mkdtemp(join(tmpdir(), 'seam-edge-')));
}

/** A miner that always has two requests without an answer, and half of a third one. */
class Talker {
  readonly miner: TestMiner;
  readonly #timer: NodeJS.Timeout;
  #sent = 0;
  #isStopping = false;

  constructor(miner: TestMiner) {
    this.miner = miner;
    this.miner.write('request-');
    this.#timer = setInterval(() => this.#say(), 10);
  }

  get answers(): readonly string[] {
    return this.miner.received.split('\n').slice(0, -1);
  }

  get isQuiet(): boolean {
    return this.#isStopping && this.answers.length === this.#sent;
  }

  get expected(): readonly string[] {
    return Array.from({ length: this.#sent }, (_, index) => `request-${index + 1}`);
  }

  /** No more requests; those on their way are still answered. */
  finish(): void {
    this.#isStopping = true;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.miner[Symbol.dispose]();
  }

  #say(): void {
    if (this.#isStopping || this.#sent > this.answers.length + 1) return;
    this.#sent += 1;
    this.miner.write(`${this.#sent}\nrequest-`);
  }
}

/** All go on, and each request of each was answered once and in order. */
async function expectAllAnswered(talkers: readonly Talker[]): Promise<void> {
  const before = talkers.map(({ answers }) => answers.length);
  await waitFor(
    () => talkers.every(({ answers }, index) => answers.length > (before[index] ?? 0) + 3),
    { what: 'all to be answered again', timeoutMs: 20_000 },
  );
  for (const talker of talkers) talker.finish();
  await waitFor(() => talkers.every(({ isQuiet }) => isQuiet), { what: 'the last answers' });
  expect(talkers.filter(({ miner }) => miner.isClosed)).toHaveLength(0);
  for (const { answers, expected } of talkers) expect(answers).toEqual(expected);
}

const talkingFor = async (talkers: readonly Talker[], count: number) =>
  await waitFor(() => talkers.every(({ answers }) => answers.length >= count), {
    what: `${count} answers each`,
    timeoutMs: 20_000,
  });

suite('a hand-over between processes', () => {
  test('hundreds of connections move: none closes, each request is answered once', async () => {
    await using edge = await newEdge();
    const first = await edge.start();
    const talkers = await edge.talk(1, 300);
    await talkingFor(talkers, 3);
    await edge.start();
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
    await talkingFor(talkers, (talkers[0]?.answers.length ?? 0) + 2);
    await edge.start();
    await expectAllAnswered(talkers);
  }, 60_000);

  test('they are spread over several successors, and a successor that comes late is found', async () => {
    await using edge = await newEdge();
    const first = await edge.start();
    const talkers = await edge.talk(1, 60);
    await talkingFor(talkers, 2);
    first.child.kill('SIGTERM');
    await talkingFor(talkers, 5);
    const second = await edge.start();
    expect(await first.ended).toBe(0);
    await edge.start();
    await edge.start();
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    await expectAllAnswered(talkers);
  }, 60_000);

  test('a successor that dies before go: the old side never noticed', async () => {
    await using edge = await newEdge();
    const first = await edge.start();
    const talkers = await edge.talk(1, 50);
    await talkingFor(talkers, 2);
    const second = await edge.start('dies_at_offer');
    first.child.kill('SIGTERM');
    await second.ended;
    await expectAllAnswered(talkers);
    expect(first.child.exitCode).toBeNull();
  }, 60_000);

  test('a successor that dies at go: the old side goes on with its duplicates', async () => {
    await using edge = await newEdge();
    const first = await edge.start();
    const talkers = await edge.talk(1, 50);
    await talkingFor(talkers, 2);
    for (const talker of talkers) talker.finish();
    await waitFor(() => talkers.every(({ isQuiet }) => isQuiet));
    const second = await edge.start('dies_at_go');
    first.child.kill('SIGTERM');
    await second.ended;
    for (const { miner } of talkers) miner.write('after\n');
    await waitFor(() => talkers.every(({ answers }) => answers.at(-1)?.endsWith('after')), {
      timeoutMs: 20_000,
    });
    expect(talkers.filter(({ miner }) => miner.isClosed)).toHaveLength(0);
    await edge.start();
    expect(await first.ended).toBe(0);
    for (const { miner } of talkers) miner.write('last\n');
    await waitFor(() => talkers.every(({ answers }) => answers.at(-1) === 'last'));
  }, 60_000);

  test('the old side dies after go: the successor has them', async () => {
    await using edge = await newEdge();
    const first = await edge.start('dies_after_go');
    const talkers = await edge.talk(1, 100);
    await talkingFor(talkers, 2);
    await edge.start();
    first.child.kill('SIGTERM');
    await first.ended;
    await expectAllAnswered(talkers);
  }, 60_000);

  test('a version nobody knows is refused: the old side serves on', async () => {
    await using edge = await newEdge();
    const first = await edge.start('unknown_version');
    const talkers = await edge.talk(1, 20);
    await talkingFor(talkers, 2);
    await edge.start();
    first.child.kill('SIGTERM');
    await talkingFor(talkers, 40);
    await expectAllAnswered(talkers);
    expect(first.child.exitCode).toBeNull();
  }, 60_000);
});
