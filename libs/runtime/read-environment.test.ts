import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError } from './errors.ts';
import { readEnvironment } from './read-environment.ts';

const SECRET = 'a secret of more than sixteen characters';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'seam-runtime-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function problemsOf(read: () => unknown): string {
  try {
    read();
    return '';
  } catch (error) {
    return error instanceof ConfigError ? error.problems.join('\n') : '';
  }
}

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

  test('tells problems of secrets, files and settings together, and never their values', () => {
    const read = () =>
      readEnvironment({
        REDIS_URL: 'http://:hush@x',
        SEAM_MESH_SECRET_FILE: join(folder, 'not-there'),
        SEAM_PORTS: '9-1',
        STATSD_HOST: 'a b',
      });
    expect(read).toThrow(ConfigError);
    const problems = problemsOf(read);
    expect(problems).not.toContain('hush');
    for (const variable of ['REDIS_URL', 'SEAM_MESH_SECRET_FILE', 'SEAM_PORTS', 'STATSD_HOST'])
      expect(problems).toContain(variable);
  });

  test('reads any Redis URL from a file, so that its password is in no environment', () => {
    const path = join(folder, 'redis-url');
    writeFileSync(path, 'redis://:pass@b:1/2\n');
    const environment = readEnvironment({
      REDIS_URL: 'redis://a',
      REDIS_SHARES_URL_FILE: path,
      SEAM_MESH_SECRET: SECRET,
    });
    expect(environment.redisSharesUrl).toBe('redis://:pass@b:1/2');
    expect(environment.redisReadUrl).toBe('redis://:pass@b:1/2');
    expect(environment.redisStateUrl).toBe('redis://a');
  });
});
