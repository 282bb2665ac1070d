/** Dice. Pure code gets them as a parameter. */
import { randomBytes } from 'node:crypto';

/** 0 <= x < 1; for spreading load, never for secrets. */
export function random(): number {
  return Math.random();
}

/** `bytes` random bytes as hex; good enough for secrets. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}
