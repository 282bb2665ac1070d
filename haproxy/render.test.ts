import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { connectionsForDescriptors, type EdgeModel, replicaName } from './model.ts';
import { renderHaproxy } from './render.ts';

const folder = mkdtempSync(join(tmpdir(), 'seam-haproxy-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MODELS: Readonly<Record<string, EdgeModel>> = {
  'one-listener': {
    replica: 'edge1',
    edge: '/run/seam/edge',
    folder: '/run/seam/haproxy',
    listeners: [{ name: 'main', bind: '*:3333' }],
    publicBind: '*:8080',
    operatorBind: '127.0.0.1:8081',
    frontendSlots: 2,
    httpSlots: 1,
    apiSlots: 1,
    connectionsMax: 9_000,
    perAddressMax: 1_000,
    perAddressRate: 500,
  },
  'four-listeners': {
    replica: 'edge-b',
    edge: '/srv/pool/edge',
    folder: '/srv/pool/haproxy',
    listeners: [3333, 3335, 4334, 3433].map((port, index) => ({
      name: ['main', 'low', 'rental', 'scrypt'][index] ?? '',
      bind: `*:${port}`,
    })),
    publicBind: '*:80',
    operatorBind: '0.0.0.0:8081',
    frontendSlots: 8,
    httpSlots: 4,
    apiSlots: 4,
    connectionsMax: 60_000,
    perAddressMax: 10_000,
    perAddressRate: 10_000,
  },
};

describe('renderHaproxy()', () => {
  for (const [name, model] of Object.entries(MODELS)) {
    test(`renders ${name} as committed`, async () => {
      await expect(renderHaproxy(model)).toMatchFileSnapshot(`golden/${name}.cfg`);
    });

    test(`haproxy itself accepts ${name}`, () => {
      const path = join(folder, `${name}.cfg`);
      // The real process may have fewer descriptors than the model's host.
      writeFileSync(path, renderHaproxy({ ...model, connectionsMax: 1_000 }));
      const check = spawnSync('haproxy', ['-c', '-f', path], {
        encoding: 'utf8',
        env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
      });
      expect(check.status, check.stderr).toBe(0);
      expect(check.stderr).not.toMatch(/WARNING/);
    });
  }

  test('refuses what would become another line of the file', () => {
    const model = MODELS['one-listener'];
    if (model === undefined) throw new Error('no model');
    expect(() => renderHaproxy({ ...model, replica: 'a\n  server evil' })).toThrow(RangeError);
    expect(() => renderHaproxy({ ...model, listeners: [{ name: 'a b', bind: '*:1' }] })).toThrow(
      RangeError,
    );
  });
});

describe('replicaName()', () => {
  test('is a plain word short enough for an id of 128 bytes', () => {
    expect(replicaName('edge-1')).toBe('edge-1');
    expect(replicaName('edge 1.example')).toBe('edge-1-example');
    expect(replicaName('')).toBe('edge');
    const [a, b] = ['a', 'b'].map((end) => replicaName(`a-very-long-host-name-of-a-cloud-${end}`));
    expect(a).toMatch(/^a-very-long-[0-9a-f]{8}$/);
    expect(a).not.toBe(b);
    // IPv6 on both sides, hexadecimal, with the largest numbers.
    const tail = `-${'F'.repeat(32)}:FFFF_${'F'.repeat(32)}:FFFF_${'F'.repeat(8)}_${'F'.repeat(8)}:${'F'.repeat(8)}`;
    expect(`${a}${tail}`.length).toBeLessThanOrEqual(128);
  });
});

describe('connectionsForDescriptors()', () => {
  test('leaves room for everything that is no connection', () => {
    expect(connectionsForDescriptors(20_000)).toBe(9_800);
    expect(connectionsForDescriptors(100)).toBe(64);
    expect(connectionsForDescriptors(10_000_000)).toBe(200_000);
  });
});
