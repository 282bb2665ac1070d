import { describe, expect, test } from 'vitest';
import { workerOf } from './worker.ts';

describe('workerOf()', () => {
  const rows = [
    ['bcrt1qabc.rig', 'bcrt1qabc.rig'],
    ['bcrt1qabc_rig', 'bcrt1qabc.rig'],
    ['BCRT1QABC.Rig', 'bcrt1qabc.Rig'],
    ['BCRT1QABC', 'bcrt1qabc'],
    ['mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8.rig', 'mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8.rig'],
    ['bcrt1qabc.rig,d=512', 'bcrt1qabc.rig'],
    ['bcrt1qabc;sd=4;xd=64k', 'bcrt1qabc'],
    ['bcrt1qabc.rig,2', 'bcrt1qabc.rig,2'],
  ] as const;
  for (const [username, name] of rows) {
    test(`books ${username} as ${name}`, () =>
      expect(workerOf(username)).toEqual({ username, name }));
  }
});
