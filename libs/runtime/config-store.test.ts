import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keys } from '#libs/contracts/keys.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { devchainConfig } from './config.fixture.ts';
import { newestConfig, restoreConfig } from './config-keeper.ts';
import { readConfig, writeConfig } from './config-store.ts';
import { ConfigError } from './errors.ts';

const SECRET = 'a secret of more than sixteen characters';
let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => await redis[Symbol.asyncDispose]());

describe('writeConfig()', () => {
  test('stores versions that only grow, with credentials sealed', async () => {
    const config = devchainConfig();
    const first = await writeConfig(redis.client, config, [SECRET]);
    await redis.client.del(keys.configVersion);
    const second = await writeConfig(redis.client, config, [SECRET]);
    expect(second).toBeGreaterThan(first);
    expect(await redis.client.hget(keys.config, 'content')).not.toContain('hush');
    expect(await readConfig(redis.client, [SECRET])).toMatchObject({
      version: second,
      config,
    });
    await expect(
      readConfig(redis.client, ['another secret of that length']),
    ).rejects.toBeInstanceOf(ConfigError);
  });
});

describe('restoreConfig()', () => {
  test('gives an emptied Redis what it forgot, and never overwrites a newer version', async () => {
    await writeConfig(redis.client, devchainConfig(), [SECRET]);
    const kept = await newestConfig(redis.client, { version: 0, content: '' });
    await redis.client.flushall();
    expect(await restoreConfig(redis.client, kept)).toBe(true);
    expect((await readConfig(redis.client, [SECRET]))?.version).toBe(kept.version);
    const newer = await writeConfig(redis.client, devchainConfig(), [SECRET]);
    expect(newer).toBeGreaterThan(kept.version);
    expect(await restoreConfig(redis.client, kept)).toBe(false);
    expect((await readConfig(redis.client, [SECRET]))?.version).toBe(newer);
    expect((await newestConfig(redis.client, kept)).version).toBe(newer);
  });
});
