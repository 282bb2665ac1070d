import { describe, expect, test } from 'vitest';
import { isSealed, seal, unseal } from './sealed.ts';

const SECRET = 'a secret of more than sixteen characters';

describe('seal() and unseal()', () => {
  test('open only with a secret that sealed, unchanged', () => {
    const sealed = seal('http://user:pass@node', SECRET);
    expect(isSealed(sealed)).toBe(true);
    expect(unseal(sealed, ['some other secret', SECRET])).toBe('http://user:pass@node');
    expect(() => unseal(sealed, ['some other secret'])).toThrow(/another mesh secret/);
    expect(() => unseal(`${sealed.slice(0, -4)}AAAA`, [SECRET])).toThrow();
  });
});
