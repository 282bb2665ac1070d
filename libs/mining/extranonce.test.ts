import { describe, expect, test } from 'vitest';
import {
  EXTRANONCE_LIMITS,
  ExtranonceAllocator,
  extranonce1Bytes,
  prefixHex,
} from './extranonce.ts';

const MINUTE = 60_000;
const PREFIX = 0x0000a5;
const LIMITS = { ...EXTRANONCE_LIMITS, restMs: 10 * MINUTE, spareValues: 512 };

function allocatorWith(...prefixes: number[]): ExtranonceAllocator {
  const allocator = new ExtranonceAllocator(LIMITS);
  for (const prefix of prefixes) allocator.confirm(prefix, 0);
  return allocator;
}

function allocateAll(allocator: ExtranonceAllocator, nowMs: number): number[] {
  const values: number[] = [];
  for (
    let value = allocator.allocate(nowMs);
    value !== undefined;
    value = allocator.allocate(nowMs)
  )
    values.push(value);
  return values;
}

describe('ExtranonceAllocator', () => {
  test('gives each value behind its prefixes once, then none', () => {
    const allocator = allocatorWith(PREFIX, PREFIX + 1);
    const values = allocateAll(allocator, 0);
    expect(new Set(values).size).toBe(512);
    expect(values.every((value) => [PREFIX, PREFIX + 1].includes(value >>> 8))).toBe(true);
    expect(allocator.counts(0)).toEqual({ prefixes: 2, free: 0, inUse: 512, foreign: 0 });
  });

  test('gives none without a prefix', () => {
    expect(new ExtranonceAllocator().allocate(0)).toBeUndefined();
  });

  test('gives values of prefixes up to 0xffffff as unsigned numbers', () => {
    const value = allocatorWith(0xffffff).allocate(0) ?? 0;
    expect(value).toBe(0xffffff00);
    expect(extranonce1Bytes(value)).toEqual(Uint8Array.of(0xff, 0xff, 0xff, 0));
    expect(prefixHex(PREFIX)).toBe('0000a5');
  });

  test('lives on its spares while Redis is away, until the leases come near their end', () => {
    const allocator = allocatorWith(PREFIX);
    expect(allocator.allocate(24 * MINUTE)).toBeDefined();
    expect(allocator.allocate(25 * MINUTE)).toBeUndefined();
    allocator.confirm(PREFIX, 25 * MINUTE);
    expect(allocator.allocate(26 * MINUTE)).toBeDefined();
  });

  test('does not free a closed value before its rest is over, nor unasked', () => {
    const allocator = allocatorWith(PREFIX);
    const [value = 0] = allocateAll(allocator, 0);
    allocator.close(value, 0);
    expect(allocator.rested(10 * MINUTE - 1)).toEqual([]);
    expect(allocator.rested(10 * MINUTE)).toEqual([value]);
    expect(allocator.allocate(10 * MINUTE)).toBeUndefined();
    allocator.free(value);
    expect(allocator.allocate(10 * MINUTE)).toBe(value);
  });

  test('a value that came back while it rested starts its rest anew', () => {
    const allocator = allocatorWith(PREFIX);
    const value = allocator.allocate(0) ?? 0;
    allocator.close(value, 0);
    expect(allocator.adopt(value)).toBe(true);
    allocator.close(value, 9 * MINUTE);
    expect(allocator.rested(10 * MINUTE)).toEqual([]);
    expect(allocator.rested(19 * MINUTE)).toEqual([value]);
  });

  test('never gives out a value whose session moved', () => {
    const allocator = allocatorWith(PREFIX);
    const values = allocateAll(allocator, 0);
    const [moved = 0, resumedElsewhere = 0] = values;
    allocator.move(moved);
    allocator.close(resumedElsewhere, 0);
    allocator.move(resumedElsewhere);
    allocator.confirm(PREFIX, 20 * MINUTE);
    expect(allocator.rested(20 * MINUTE)).toEqual([]);
    expect(allocator.allocate(20 * MINUTE)).toBeUndefined();
    expect(allocator.adopt(moved)).toBe(true); // It may come back itself.
  });

  test('does not let two sessions here have one value', () => {
    const allocator = allocatorWith(PREFIX);
    const value = allocator.allocate(0) ?? 0;
    expect(allocator.adopt(value)).toBe(false);
    expect(allocator.adopt(0x123456)).toBe(true);
    expect(allocator.adopt(0x123456)).toBe(false);
  });

  test('renews what its sessions need, whoever took it', () => {
    const allocator = allocatorWith(PREFIX);
    allocator.adopt(0x777700);
    allocator.adopt(0x777701);
    expect(allocator.prefixesToRenew()).toEqual({ own: [PREFIX], foreign: [0x7777] });
    expect(allocator.foreignValues()).toEqual([0x777700, 0x777701]);
    allocator.close(0x777700, 0);
    allocator.move(0x777701);
    expect(allocator.prefixesToRenew()).toEqual({ own: [PREFIX], foreign: [] });
    expect(allocator.foreignValues()).toEqual([]);
  });

  test('lets go of a prefix whose every session moved', () => {
    const allocator = allocatorWith(PREFIX);
    for (const value of allocateAll(allocator, 0)) allocator.move(value);
    expect(allocator.prefixesToRenew().own).toEqual([]);
  });

  test('gives nothing of a lost prefix but keeps its sessions', () => {
    const allocator = allocatorWith(PREFIX);
    const value = allocator.allocate(0) ?? 0;
    allocator.lose(PREFIX);
    expect(allocator.allocate(0)).toBeUndefined();
    expect(allocator.prefixesToRenew()).toEqual({ own: [], foreign: [PREFIX] });
    expect(allocator.confirm(PREFIX, 0)).toBe(false);
    expect(allocator.adopt(value)).toBe(false);
  });

  test('wants prefixes for its spares, as far as it may', () => {
    const allocator = allocatorWith(PREFIX);
    expect(allocator.prefixesWanted(0)).toBe(1);
    allocator.confirm(PREFIX + 1, 0);
    expect(allocator.prefixesWanted(0)).toBe(0);
    allocator.allocate(0);
    expect(allocator.prefixesWanted(0)).toBe(1);
    expect(new ExtranonceAllocator({ ...LIMITS, prefixesMax: 1 }).prefixesWanted(0)).toBe(1);
  });

  test('gives back untouched prefixes far above its spares, and lapsed ones', () => {
    const allocator = allocatorWith(1, 2, 3, 4, 5, 6);
    allocator.allocate(0);
    expect(allocator.surplus(0)).toEqual([2]);
    expect(allocator.surplus(0)).toEqual([]);
    expect(allocator.surplus(30 * MINUTE)).toEqual([3, 4, 5, 6]);
    expect(allocator.counts(30 * MINUTE)).toMatchObject({ prefixes: 1, inUse: 1 });
  });
});
