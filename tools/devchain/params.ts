/** Positional parameters of a call, read with bounds and refused with Core's numbers. */
import { RPC, RpcFailure } from './errors.ts';

export class Params {
  readonly #values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  has(index: number): boolean {
    return this.#values[index] !== undefined && this.#values[index] !== null;
  }

  text(index: number, name: string): string {
    const value = this.#values[index];
    if (typeof value !== 'string') throw wrong(name, 'a string');
    return value;
  }

  /** 64 hex digits */
  hash(index: number, name: string): string {
    const value = this.text(index, name);
    if (!/^[0-9a-fA-F]{64}$/.test(value)) {
      throw new RpcFailure(
        RPC.invalidParameter,
        `${name} must be of length 64 (not ${value.length})`,
      );
    }
    return value.toLowerCase();
  }

  integer(index: number, name: string, min: number, max: number): number {
    const value = this.#values[index];
    if (!Number.isInteger(value)) throw wrong(name, 'an integer');
    const number = Number(value);
    if (number < min || number > max) {
      throw new RpcFailure(RPC.invalidParameter, `${name} out of range ${min}..${max}`);
    }
    return number;
  }

  /** A flag, also as the numbers 0 and 1 (and 2 for the verbosity of blocks). */
  verbosity(index: number, fallback: number): number {
    const value = this.#values[index];
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'boolean') return value ? 1 : 0;
    return this.integer(index, 'verbosity', 0, 3);
  }

  /** An object; empty if there is none. */
  object(index: number): Readonly<Record<string, unknown>> {
    const value = this.#values[index];
    if (value === undefined || value === null) return {};
    if (typeof value !== 'object' || Array.isArray(value)) throw wrong('the request', 'an object');
    return value as Readonly<Record<string, unknown>>;
  }
}

function wrong(name: string, kind: string): RpcFailure {
  return new RpcFailure(RPC.misc, `JSON value of ${name} is not ${kind}`);
}
