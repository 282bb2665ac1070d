/**
 * The records in Redis: a hash with a TTL for each instance, a set of their keys, and a number that grows with every
 * change worth reading, so that a look at an unchanged mesh is one command.
 *
 * Note [Discovery store]
 * The scripts touch records and index together, and the records' names (`svc:<role>:<id>`) carry no hash tag: the
 * discovery Redis is one server with its replicas, not a Redis Cluster. State and shares may live in one.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import { keys } from '#libs/contracts/keys.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import { READ_VIEW, REMOVE_RECORD, runScript, WRITE_RECORD } from './scripts.ts';

/** [records] A mesh has tens; more than this is somebody else's mess. */
const RECORDS_MAX = 2_000;

/** What tells whether there is anything new to read. */
export interface StoreMark {
  /** A random word, made by whoever first saw the store; undefined: nobody has. */
  readonly generation: string | undefined;
  readonly version: string;
}

/** Everybody, as of one moment. */
export interface Reading {
  readonly mark: StoreMark;
  /** Redis' own word for its process; empty if it does not tell. */
  readonly runId: string;
  readonly records: readonly InstanceRecord[];
  /** Records that could not be read, or were more than 2 000. */
  readonly leftOut: number;
}

const markReply = z.tuple([z.string().nullable(), z.string().nullable()]);
const viewReply = z.tuple([z.string(), z.string(), z.number()]).rest(z.array(z.string()));

export class RecordStore {
  readonly #redis: Redis;
  readonly #ttlMs: number;

  constructor(redis: Redis, ttlMs: number) {
    this.#redis = redis;
    this.#ttlMs = ttlMs;
  }

  /** @param isNews others should read it at once. @returns false if a younger process has the name */
  async write(record: InstanceRecord, isNews: boolean): Promise<boolean> {
    const { bootId, startedMs, revision = 0 } = record;
    const head = [JSON.stringify(bootId), startedMs, revision, this.#ttlMs, isNews ? 1 : 0];
    const fields = encodeRecord(record);
    return (
      (await runScript(this.#redis, WRITE_RECORD, scriptKeys(record), [...head, ...fields])) === 1
    );
  }

  async remove(record: InstanceRecord): Promise<void> {
    await runScript(this.#redis, REMOVE_RECORD, scriptKeys(record), [
      JSON.stringify(record.bootId),
    ]);
  }

  /** One command, whatever the size of the mesh. */
  async peek(): Promise<StoreMark> {
    const reply = await this.#redis.mget(keys.storeGeneration, keys.instanceVersion);
    const [generation, version] = markReply.parse(reply);
    return { generation: generation ?? undefined, version: version ?? '0' };
  }

  async readAll(): Promise<Reading> {
    const readKeys = [keys.instanceIndex, keys.storeGeneration, keys.instanceVersion];
    const args = [randomBytes(8).toString('hex'), RECORDS_MAX];
    const [runId, reply] = await Promise.all([
      this.#runId(),
      runScript(this.#redis, READ_VIEW, readKeys, args),
    ]);
    const [generation, version, omitted, ...flat] = viewReply.parse(reply);
    const records = flat
      .map((fields) => decodeRecord(fields))
      .filter((record) => record !== undefined);
    const leftOut = omitted + flat.length - records.length;
    return { mark: { generation, version }, runId, records, leftOut };
  }

  async #runId(): Promise<string> {
    const text = await this.#redis.info('server');
    return /^run_id:(\w+)/m.exec(text)?.[1] ?? '';
  }
}

function scriptKeys({ role, id }: InstanceRecord): readonly string[] {
  return [keys.instance(role, id), keys.instanceIndex, keys.instanceVersion];
}
