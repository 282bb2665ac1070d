import { describe, expect, test } from 'vitest';
import { parsePoolConfig, resolvePoolConfig } from '#libs/contracts/resolve-config.ts';
import { ConfigError } from '#libs/runtime/errors.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';
import { settingsOf } from './config.ts';
import { DEFAULT_BOUNDS, NO_BOUNDS } from './core/limit.ts';

function configOf(converger: unknown) {
  const parsed = parsePoolConfig({ converger });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const devchain = {
    node: { url: 'http://127.0.0.1:1' },
    payoutAddress: regtestAddress(new Uint8Array(20)),
  };
  const resolved = resolvePoolConfig(parsed.config, '/run', devchain);
  if (!resolved.ok) throw new Error(resolved.problems.join());
  return resolved.config;
}

describe('settingsOf()', () => {
  test('limits need the observer', () => {
    expect(settingsOf(configOf({}), 'act').bounds).toEqual(DEFAULT_BOUNDS);
    expect(
      settingsOf(configOf({ limits: { enabled: false }, observer: false }), 'act').bounds,
    ).toEqual(NO_BOUNDS);
    expect(() => settingsOf(configOf({ observer: false }), 'act')).toThrow(ConfigError);
  });
});
