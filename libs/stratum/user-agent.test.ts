import { describe, expect, test } from 'vitest';
import { profileOf } from './user-agent.ts';

describe('profileOf()', () => {
  test.each([
    ['NiceHash/1.0.0', { name: 'nicehash', minDifficulty: 524_288 }],
    ['cgminer/3.7.2', { name: 'cgminer_3_7_2', extranonce2Size: 4 }],
    ['cgminer/4.12.0', { name: 'cgminer', extranonce2Size: undefined, reconnect: 'with_wait' }],
    ['bitaxe/BM1368/v2.4.0', { name: 'esp_miner', keepAlive: 'ping', reconnect: 'none' }],
    ['NerdQAxe++/BM1370/v1.0', { name: 'esp_miner' }],
    ['bosminer-plus-tuner/0.2', { name: 'braiins' }],
    ['cpuminer-multi/1.3.5', { name: 'cpuminer' }],
    ['something else', { name: 'other', keepAlive: 'none' }],
    ['', { name: 'other' }],
  ])('knows %s', (userAgent, expected) => {
    expect(profileOf(userAgent)).toMatchObject(expected);
  });
});
