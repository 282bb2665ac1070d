/** From a solved share to its block at every node: what `block.submit` does. */
import type { Logger } from 'pino';
import type { BlockChanged } from '#libs/contracts/block-changed.ts';
import type { BlockSubmit, BlockSubmitted } from '#libs/contracts/block-submit.ts';
import { assembleSolution } from '../core/assemble-block.ts';
import type { JobMetrics } from '../metrics.ts';
import type { BlockSubmitter } from './block-submitter.ts';
import type { BodyStore } from './body-store.ts';

export interface BlockPathOptions {
  readonly chain: string;
  readonly submitter: BlockSubmitter;
  readonly bodies: Pick<BodyStore, 'get' | 'pin' | 'unpin'>;
  readonly log: Logger;
  readonly metrics: JobMetrics;
  readonly publish: (change: BlockChanged) => void;
}

export class BlockPath {
  readonly #options: BlockPathOptions;

  constructor(options: BlockPathOptions) {
    this.#options = options;
  }

  /** @throws {RangeError} for another chain: that is no verdict on the block */
  async submit(request: BlockSubmit): Promise<BlockSubmitted> {
    const { chain, metrics, log } = this.#options;
    if (request.chain !== chain || request.job.chain !== chain)
      throw new RangeError(
        `Cannot submit a block of ${request.chain}: this jobmanager serves ${chain}`,
      );
    const reply = await this.#submit(request);
    metrics.submits.inc({ chain, outcome: reply.outcome });
    const { hash, worker } = request;
    log.info({ chain, hash, worker, height: request.job.height, ...reply }, 'block submitted');
    return { ...reply, reason: reply.reason.slice(0, 512) };
  }

  async #submit(request: BlockSubmit): Promise<BlockSubmitted> {
    const { bodies, submitter, log, chain } = this.#options;
    const { hash, job } = request;
    const known = submitter.known(hash);
    if (known !== undefined) return known;
    const body = job.bodyId === null ? undefined : await bodies.get(job.bodyId);
    if (job.bodyId !== null && body === undefined)
      return { outcome: 'body_unknown', reason: `body ${job.bodyId} is not known here` };
    const assembly = assembleSolution(request, body);
    if (assembly.kind === 'refused') {
      log.error(
        { chain, hash, job: job.jobId, reason: assembly.reason },
        'a solved block does not fit its job',
      );
      return { outcome: 'rejected', reason: assembly.reason };
    }
    this.#tell(request, { state: 'submitted', reason: '' });
    const settling = submitter.submit(hash, assembly.hex); // First of all: everything else can wait.
    const pinned = body === undefined ? Promise.resolve() : bodies.pin(body, job.height);
    const settled = await settling;
    if (settled.outcome === 'unavailable') return settled;
    const state = settled.outcome === 'rejected' ? 'rejected' : 'accepted';
    this.#tell(request, { state, reason: settled.reason });
    if (body !== undefined) void pinned.then(() => bodies.unpin(body.bodyId));
    return settled;
  }

  #tell({ chain, hash, job }: BlockSubmit, change: Pick<BlockChanged, 'state' | 'reason'>): void {
    const reason = change.reason.slice(0, 512);
    this.#options.publish({ chain, hash, height: job.height, state: change.state, reason });
  }
}
