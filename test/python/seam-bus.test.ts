/**
 * Another language on the bus: Python calls an RPC and hears a topic, with CURVE, from docs/bus.md alone.
 * Needs pyzmq; as root on Debian it is installed, elsewhere the tests are skipped and say so.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, assert, beforeEach, describe as suite, test } from 'vitest';
import { z } from 'zod';
import type { BusMember } from '#libs/bus/bus-contract.ts';
import { joinZeromq, SECRET } from '#libs/bus/bus.fixture.ts';
import type { Origin } from '#libs/bus/bus.ts';
import { defineRpc, defineTopic } from '#libs/contracts/define.ts';
import { waitFor } from '#test/harness/wait-for.ts';

const echo = defineRpc('test.echo', 1, {
  request: z.object({ text: z.string() }),
  reply: z.object({ text: z.string() }),
});
const noted = defineTopic('test.noted', 1, z.object({ n: z.int() }));
const SCRIPT = join(import.meta.dirname, 'seam_bus_test.py');

const python = findPython() ?? (installPyzmq() ? findPython() : undefined);
const WHY_SKIPPED =
  'no Python with pyzmq (Debian: apt-get install python3-zmq), and not root to install it';
if (python === undefined) console.warn(`Python client: skipped: ${WHY_SKIPPED}`);

/** A Python that has pyzmq with CURVE. The one first in PATH may not be the system's. */
function findPython(): string | undefined {
  const check = 'import zmq, sys; sys.exit(0 if zmq.has("curve") else 1)';
  return ['python3', '/usr/bin/python3'].find((command) => isDone(command, ['-c', check]));
}

function installPyzmq(): boolean {
  if (process.getuid?.() !== 0) return false;
  return isDone('apt-get', ['install', '-y', '--no-install-recommends', 'python3-zmq']);
}

function isDone(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: 100_000 });
    return true;
  } catch {
    return false; // Not there, or it said no: the caller knows what else to try.
  }
}

interface Step {
  readonly step: string;
  readonly [field: string]: unknown;
}

/** Runs a step of the script to its end and gives what it said. */
async function run(...args: readonly string[]): Promise<readonly Step[]> {
  const { stdout } = await promisify(execFile)(python ?? 'python3', ['-B', SCRIPT, ...args], {
    timeout: 30_000,
  });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Step);
}

suite.skipIf(python === undefined)('the Python client', () => {
  let server: BusMember;
  beforeEach(async () => {
    server = await joinZeromq({ role: 'jobmanager', id: 'j-1', bootId: '00000000c0ffee00' });
  });
  afterEach(() => server.kill());

  test('derives the same keys from a secret', async () => {
    assert.deepEqual(await run('derive'), [{ step: 'derived', count: 4 }]);
  });

  test('reads and writes the golden header', async () => {
    assert.deepEqual(await run('decode'), [{ step: 'decoded' }]);
  });

  test('calls an RPC and hears a topic, late and told so', async () => {
    const callers: Origin[] = [];
    server.bus.serve(echo, ({ text }, origin) => {
      callers.push(origin);
      return { text: text.toUpperCase() };
    });
    server.bus.publish(noted, 'ltc', { n: 1 });
    const child = spawn(python ?? 'python3', [
      '-B',
      SCRIPT,
      'talk',
      SECRET,
      server.asPeer.pubEndpoint,
      server.asPeer.rpcEndpoint,
    ]);
    const said: Step[] = [];
    createInterface(child.stdout).on('line', (line) => said.push(JSON.parse(line) as Step));
    let errors = '';
    child.stderr.on('data', (chunk) => (errors += String(chunk)));
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await waitFor(() => said.some(({ step, gap }) => step === 'heard' && gap === true), {
      what: 'the gap',
    });
    server.bus.publish(noted, 'ltc2', { n: 2 });
    server.bus.publish(noted, 'ltc', { n: 3 }, [Uint8Array.of(1, 254)]);
    server.bus.publish(noted, 'ltc', { n: -1 });
    assert.equal(await ended, 0, errors);
    assert.deepEqual(said, [
      { step: 'replied', reply: { text: 'HÄL\0O' }, server: '00000000c0ffee00' },
      { step: 'refused', code: 'malformed' },
      { step: 'refused', code: 'no_responder' },
      { step: 'heard', gap: true, message: null, attachments: [] },
      { step: 'heard', gap: false, message: { n: 3 }, attachments: ['01fe'] },
      { step: 'heard', gap: false, message: { n: -1 }, attachments: [] },
    ]);
    assert.deepInclude(callers[0]?.peer, { role: 'reporter', id: 'snake' });
    assert.deepEqual([...(callers[0]?.attachments[0] ?? [])], [0, 255]);
  });

  test('gets nothing with another secret', async () => {
    const { pubEndpoint, rpcEndpoint } = server.asPeer;
    assert.deepEqual(await run('knock', 'a secret of someone else', pubEndpoint, rpcEndpoint), [
      { step: 'refused', code: 'timeout' },
    ]);
    await waitFor(() => server.count('seam_bus_refused_total', { reason: 'handshake' }));
  });
});

if (python === undefined) test.skip(`the Python client: ${WHY_SKIPPED}`);
