/** How a topic or an RPC is declared. No transport: `libs/bus` carries what is declared here. */
import { z } from 'zod';

/** A PUB/SUB subject: may lose, never replays, carries a sequence per publisher. */
export interface Topic<S extends z.ZodType = z.ZodType> {
  readonly kind: 'topic';
  readonly name: string;
  readonly version: number;
  readonly schema: S;
}

/** A request with one reply: at most once per try, idempotent by contract. */
export interface Rpc<Q extends z.ZodType = z.ZodType, A extends z.ZodType = z.ZodType> {
  readonly kind: 'rpc';
  readonly name: string;
  readonly version: number;
  readonly request: Q;
  readonly reply: A;
  /** [ms] how long a caller waits unless it says otherwise */
  readonly timeoutMs: number;
}

export type MessageOf<T extends Topic> = z.infer<T['schema']>;
export type RequestOf<R extends Rpc> = z.infer<R['request']>;
export type ReplyOf<R extends Rpc> = z.infer<R['reply']>;

/** The name on the wire: `job.announced@1`. */
export function subjectOf(contract: Topic | Rpc): string {
  return `${contract.name}@${contract.version}`;
}

export function defineTopic<S extends z.ZodType>(
  name: string,
  version: number,
  schema: S,
): Topic<S> {
  return { kind: 'topic', name, version, schema };
}

export function defineRpc<Q extends z.ZodType, A extends z.ZodType>(
  name: string,
  version: number,
  parts: { readonly request: Q; readonly reply: A; readonly timeoutMs?: number },
): Rpc<Q, A> {
  const { request, reply, timeoutMs = 2_000 } = parts;
  return { kind: 'rpc', name, version, request, reply, timeoutMs };
}

/** Lower-case hex of exactly `bytes` bytes. */
export function hexOf(bytes: number) {
  return z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `must be ${bytes} bytes of hex`);
}

/** Lower-case hex of any whole number of bytes. */
export const hexBytes = z.string().regex(/^([0-9a-f]{2})*$/, 'must be lower-case hex');

/** An unsigned 32-bit number. */
export const uint32 = z.int().min(0).max(0xffff_ffff);

/** A whole number of satoshi that a double holds exactly. */
export const sat = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** A chain's id in the pool's configuration, such as `ltc` or `devchain`. */
export const chainId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be a short lower-case name');
