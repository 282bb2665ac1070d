import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolvePoolConfig, parsePoolConfig } from '#libs/contracts/resolve-config.ts';
import { keys } from '#libs/contracts/keys.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';
import { readConfig, writeConfig } from './config-store.ts';
import { ConfigError } from './errors.ts';
import { isServing, listenUnix } from './listen-unix.ts';
import {
  forgetRecord,
  isAlive,
  launchProcess,
  listRecords,
  signalProcess,
} from './process-records.ts';
import { readEnvironment } from './read-environment.ts';
import { isSealed, seal, unseal } from './sealed.ts';
import { waitFor } from '#test/harness/wait-for.ts';

const SECRET = 'a secret of more than sixteen characters';
let redis: TestRedis;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  folder = mkdtempSync(join(tmpdir(), 'seam-runtime-'));
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe('readEnvironment()', () => {
  test('needs the Redis URL and the mesh secret, and nothing else', () => {
    const environment = readEnvironment({
      REDIS_URL: 'redis://127.0.0.1:1',
      SEAM_MESH_SECRET: SECRET,
    });
    expect(environment.redisSharesUrl).toBe('redis://127.0.0.1:1');
    expect(environment.meshSecrets).toEqual([SECRET]);
    expect(environment.portRange).toEqual([21_000, 21_999]);
  });
  test('says every problem at once', () => {
    const read = () => readEnvironment({ SEAM_MESH_SECRET: 'short' });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/REDIS_URL.*mesh secret/);
    expect(() => readEnvironment({ REDIS_URL: 'http://x', PORT: '99999' })).toThrow(
      /REDIS_URL.*PORT|PORT.*REDIS_URL/,
    );
  });
  test('reads the secret from a file, and takes each Redis URL of its own', () => {
    const path = join(folder, 'secret');
    writeFileSync(path, `${SECRET},${SECRET}2\n`);
    const environment = readEnvironment({
      REDIS_URL: 'redis://a',
      REDIS_SHARES_URL: 'redis://b',
      SEAM_MESH_SECRET_FILE: path,
    });
    expect(environment.meshSecrets).toEqual([SECRET, `${SECRET}2`]);
    expect([
      environment.redisDiscoveryUrl,
      environment.redisStateUrl,
      environment.redisSharesUrl,
    ]).toEqual(['redis://a', 'redis://a', 'redis://b']);
  });
});

describe('seal() and unseal()', () => {
  test('open only with a secret that sealed, unchanged', () => {
    const sealed = seal('http://user:pass@node', SECRET);
    expect(isSealed(sealed)).toBe(true);
    expect(unseal(sealed, ['some other secret', SECRET])).toBe('http://user:pass@node');
    expect(() => unseal(sealed, ['some other secret'])).toThrow(/another mesh secret/);
    expect(() => unseal(`${sealed.slice(0, -4)}AAAA`, [SECRET])).toThrow();
  });
});

describe('writeConfig()', () => {
  test('stores versions that only grow, with credentials sealed', async () => {
    const parsed = parsePoolConfig(null);
    if (!parsed.ok) throw new Error('an empty file must be fine');
    const devchain = {
      node: { url: 'http://seam:hush@127.0.0.1:1' },
      payoutAddress: regtestAddress(randomBytes(20)),
    };
    const resolved = resolvePoolConfig(parsed.config, '/run', devchain);
    if (!resolved.ok) throw new Error(resolved.problems.join());
    const first = await writeConfig(redis.client, resolved.config, [SECRET]);
    await redis.client.del(keys.configVersion);
    const second = await writeConfig(redis.client, resolved.config, [SECRET]);
    expect(second).toBeGreaterThan(first);
    expect(await redis.client.hget(keys.config, 'content')).not.toContain('hush');
    expect(await readConfig(redis.client, [SECRET])).toEqual({
      version: second,
      config: resolved.config,
    });
    await expect(
      readConfig(redis.client, ['another secret of that length']),
    ).rejects.toBeInstanceOf(ConfigError);
  });
});

describe('listenUnix()', () => {
  test('takes over a path somebody left behind', async () => {
    const path = join(folder, 'a.sock');
    writeFileSync(path, '');
    expect(await isServing(path)).toBe(false);
    await using _listening = await listenUnix(
      createServer((socket) => socket.end()),
      path,
    );
    expect(await isServing(path)).toBe(true);
  });
});

describe('process records', () => {
  const at = () => ({ records: join(folder, 'records'), logs: join(folder, 'logs') });
  const launch = (name: string, script = 'setInterval(() => {}, 1000)') =>
    launchProcess(
      at(),
      {
        name,
        group: 'g',
        version: '1',
        command: process.execPath,
        args: ['-e', script],
        env: {},
        cwd: folder,
      },
      Date.now(),
    );

  test('of two starters of a name one wins, and a dead one frees the name', async () => {
    const starts = await Promise.all([launch('x'), launch('x'), launch('x')]);
    const [winner] = starts.filter((record) => record !== undefined);
    expect(starts.filter((record) => record !== undefined).length).toBe(1);
    if (winner === undefined) return;
    expect(await isAlive(winner, Date.now())).toBe(true);
    expect(await signalProcess({ ...winner, startTime: 'another life' }, 'SIGKILL')).toBe(false);
    expect(await signalProcess(winner, 'SIGKILL')).toBe(true);
    await waitFor(async () => !(await isAlive(winner, Date.now())), { what: 'it to end' });
    expect(await Promise.all([forgetRecord(at(), winner), forgetRecord(at(), winner)])).toContain(
      true,
    );
    expect(await listRecords(at())).toEqual([]);
    const again = await launch('x', '');
    expect(again?.name).toBe('x');
  });
});
