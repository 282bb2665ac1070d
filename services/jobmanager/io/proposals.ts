/** Asks the node whether it would take our jobs as blocks: after they went out, never delaying them. */
import type { Logger } from 'pino';
import type { CoinNodes } from '#libs/coin-node/coin-nodes.ts';
import type { Job } from '#libs/contracts/job.ts';
import type { TemplateBody } from '../core/model.ts';
import { proposalOf } from '../core/proposal.ts';
import type { JobMetrics } from '../metrics.ts';

export interface ProposalsOptions {
  readonly chain: string;
  readonly nodes: Pick<CoinNodes, 'propose'>;
  readonly log: Logger;
  readonly metrics: JobMetrics;
}

export class Proposals implements AsyncDisposable {
  readonly #options: ProposalsOptions;
  #running: Promise<void> | undefined;

  constructor(options: ProposalsOptions) {
    this.#options = options;
  }

  /** Tests a job, unless the node is still busy with the one before. */
  test(job: Job, body: TemplateBody | undefined): void {
    if (this.#running !== undefined) return;
    this.#running = this.#test(job, body)
      .catch((error: unknown) => {
        this.#options.log.error({ job: job.jobId, err: error }, 'a job could not be proposed');
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running;
  }

  async #test(job: Job, body: TemplateBody | undefined): Promise<void> {
    const { nodes, metrics, log, chain } = this.#options;
    const verdict = await nodes.propose(proposalOf(job, body));
    const outcome = verdict === null ? 'valid' : verdict === undefined ? 'no_verdict' : 'invalid';
    metrics.proposals.inc({ chain, outcome });
    if (outcome === 'invalid')
      log.error(
        { chain, job: job.jobId, reason: verdict },
        'the node would refuse a block of this job',
      );
  }
}
