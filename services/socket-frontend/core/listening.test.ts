import { expect, suite, test } from 'vitest';
import { Listening } from './listening.ts';

suite('Listening', () => {
  test('is down before any server speaks', () => {
    expect(new Listening(1_000).up(0)).toEqual(new Set());
  });

  test('is up while one server has work, and down at once when none has', () => {
    const listening = new Listening(1_000);
    listening.say('a', 'main', true);
    listening.say('b', 'main', false);
    listening.say('b', 'low', true);
    expect(listening.up(0)).toEqual(new Set(['main', 'low']));
    listening.say('a', 'main', false);
    expect(listening.up(0)).toEqual(new Set(['low']));
  });

  test('keeps the word of a lost server for a while, and takes connections to none that is lost', () => {
    const listening = new Listening(1_000);
    listening.say('a', 'main', true);
    expect(listening.takes('a', 'main')).toBe(true);
    listening.lose('a', 5_000);
    expect(listening.takes('a', 'main')).toBe(false);
    expect(listening.up(6_000)).toEqual(new Set(['main']));
    expect(listening.up(6_001)).toEqual(new Set());
  });

  test('a server that comes back speaks for itself', () => {
    const listening = new Listening(1_000);
    listening.say('a', 'main', true);
    listening.lose('a', 5_000);
    listening.say('a', 'main', false);
    expect(listening.up(5_001)).toEqual(new Set());
  });
});
