/** Template bodies: in memory, in files of this host, in Redis; looked up in this order. */
import type { Logger } from 'pino';
import type { TemplateBody } from '../core/model.ts';
import type { JobMetrics } from '../metrics.ts';
import type { BodyFiles } from './body-files.ts';
import type { RedisShelf } from './redis-shelf.ts';

/** [bodies] in memory; their transactions are shared, so that one costs little more than its list */
const MEMORY_MAX = 32;
/** [ms] A disk that takes longer must not delay a job: memory and Redis have its body. */
const FILE_TIMEOUT_MS = 1_000;

export interface BodyStoreOptions {
  readonly chain: string;
  readonly files: BodyFiles;
  readonly redis: RedisShelf;
  readonly log: Logger;
  readonly metrics: JobMetrics;
}

interface Kept {
  readonly body: TemplateBody;
  readonly parent: string;
}

export class BodyStore {
  readonly #options: BodyStoreOptions;
  readonly #memory = new Map<string, Kept>();

  constructor(options: BodyStoreOptions) {
    this.#options = options;
  }

  /** Resolves when the body is in a file (or the disk failed or took too long, which is counted) and on its way to Redis. */
  async put(body: TemplateBody, height: number, parent: string): Promise<void> {
    const { files, redis, metrics, chain } = this.#options;
    this.#remember({ body, parent });
    redis.putBody(body, parent);
    const written = files.put(body, height, parent).then(
      (bytes) => metrics.bodyFileBytes.inc({ chain }, bytes),
      (error: unknown) => this.#complain('write', error),
    );
    await Promise.race([written, this.#patience()]);
  }

  /** The body of a job whose block was solved. @returns undefined if nobody has it (yet) */
  async get(bodyId: string): Promise<TemplateBody | undefined> {
    const { files, redis, metrics, chain } = this.#options;
    const inMemory = this.#memory.get(bodyId)?.body;
    const onDisk =
      inMemory ??
      (await files.get(bodyId).catch((error: unknown) => this.#complain('read', error)));
    const body = onDisk ?? (await redis.getBody(bodyId));
    const found = inMemory ? 'memory' : onDisk ? 'file' : body ? 'redis' : 'nowhere';
    metrics.bodyLookups.inc({ chain, found });
    return body;
  }

  /** A candidate names it: it is kept without limit. */
  async pin(body: TemplateBody, height: number): Promise<void> {
    const { files, redis } = this.#options;
    const filed = files.pin(body, height).catch((error: unknown) => this.#complain('pin', error));
    await Promise.all([filed, redis.pin(body)]);
  }

  /** The candidate is settled: Redis, which is memory, need not hold it for ever. */
  async unpin(bodyId: string): Promise<void> {
    await this.#options.redis.unpin(bodyId);
  }

  /** Redis is another store: what is in memory goes there again. */
  putAllAgain(): void {
    for (const { body, parent } of this.#memory.values()) this.#options.redis.putBody(body, parent);
  }

  async sweep(height: number): Promise<void> {
    await this.#options.files
      .sweep(height)
      .catch((error: unknown) => this.#complain('sweep', error));
  }

  #remember(kept: Kept): void {
    const { bodyId } = kept.body;
    this.#memory.delete(bodyId);
    this.#memory.set(bodyId, kept);
    const [oldest] = this.#memory.keys();
    if (this.#memory.size > MEMORY_MAX && oldest !== undefined) this.#memory.delete(oldest);
  }

  async #patience(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, FILE_TIMEOUT_MS).unref();
    await promise;
  }

  #complain(operation: string, error: unknown): undefined {
    const { metrics, log, chain } = this.#options;
    metrics.bodyFileFailures.inc({ chain, operation });
    log.error({ chain, operation, err: error }, 'template bodies cannot be kept in files');
    return undefined;
  }
}
