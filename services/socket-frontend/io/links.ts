/** One link to every stratum-server that is ready, made again while the registry says that it is there. */
import type { Logger } from 'pino';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import type { UpItem } from '#libs/link/items.ts';
import type { LinkClient, LinkClientHandlers, LinkServerAddress } from '#libs/link/link-client.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { ServerKey } from '../core/model.ts';
import type { Metrics } from '../metrics.ts';

/** What a living link means for the rest of the frontend. */
interface LinkEvents {
  onUp(server: ServerKey): void;
  onItems(server: ServerKey, items: Parameters<LinkClientHandlers['onItems']>[0]): void;
  onHeartbeat(server: ServerKey, heard: { readonly load: number; readonly accepts: boolean }): void;
  /** Only after `onUp`. */
  onEnded(server: ServerKey): void;
}

export interface LinksOptions {
  readonly registry: Pick<Registry, 'view' | 'watch'>;
  /** @throws {RangeError} if the server's key comes from a secret we do not know */
  readonly connect: (server: LinkServerAddress, handlers: LinkClientHandlers) => LinkClient;
  readonly events: LinkEvents;
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface Link {
  readonly bootId: string;
  client: LinkClient | undefined;
  wasUp: boolean;
  /** Attempts in a row that did not bring it up. */
  failures: number;
  retry: NodeJS.Timeout | undefined;
}

/** [ms] between attempts, doubled up to the second */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;

export class Links implements AsyncDisposable {
  readonly #options: LinksOptions;
  readonly #links = new Map<ServerKey, Link>();
  readonly #watch: Disposable;
  #isClosed = false;

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#watch = options.registry.watch(({ event, record }) => {
      if (record.role === 'stratum-server' && event !== 'left') this.#look(record);
    });
  }

  send(server: ServerKey, item: UpItem): void {
    this.#links.get(server)?.client?.send(item);
  }

  isCongested(server: ServerKey): boolean {
    return this.#links.get(server)?.client?.isCongested ?? false;
  }

  get upCount(): number {
    return [...this.#links.values()].filter(({ wasUp }) => wasUp).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#watch[Symbol.dispose]();
    for (const { client, retry } of [...this.#links.values()]) {
      clearTimeout(retry);
      await client?.[Symbol.asyncDispose]();
    }
  }

  /** The registry says something about a server. A living link is not ended by it: the link itself knows better. */
  #look(record: InstanceRecord): void {
    const known = this.#links.get(record.id);
    if (known !== undefined && known.bootId !== record.bootId) this.#replace(record, known);
    else if (known === undefined && isLinkable(record)) this.#start(record);
  }

  /** Another life of the same instance: the old one is dead. */
  #replace(record: InstanceRecord, old: Link): void {
    clearTimeout(old.retry);
    void old.client?.[Symbol.asyncDispose]();
    this.#links.delete(record.id);
    if (isLinkable(record)) this.#start(record);
  }

  #start(record: InstanceRecord): void {
    const link: Link = {
      bootId: record.bootId,
      client: undefined,
      wasUp: false,
      failures: 0,
      retry: undefined,
    };
    this.#links.set(record.id, link);
    this.#attempt(record, link);
  }

  #attempt(record: InstanceRecord, link: Link): void {
    const { connect, log, metrics } = this.#options;
    const { id, bootId, endpoints, serverKeyId } = record;
    metrics.linkAttempts.inc();
    try {
      link.client = connect(
        { id, bootId, endpoint: endpoints.link, serverKeyId },
        this.#handlers(record, link),
      );
    } catch (error) {
      log.warn({ server: id, err: error }, 'cannot link');
      this.#planRetry(id, link);
    }
  }

  #handlers({ id }: InstanceRecord, link: Link): LinkClientHandlers {
    const { events, log } = this.#options;
    return {
      onUp: () => {
        link.wasUp = true;
        link.failures = 0;
        log.info({ server: id }, 'link up');
        events.onUp(id);
        this.#show();
      },
      onItems: (items) => events.onItems(id, items),
      onHeartbeat: (heard) => events.onHeartbeat(id, heard),
      onEnded: () => this.#end(id, link),
    };
  }

  #end(id: ServerKey, link: Link): void {
    const { wasUp } = link;
    link.client = undefined;
    link.wasUp = false;
    if (wasUp) this.#options.events.onEnded(id);
    this.#show();
    if (this.#links.get(id) === link) this.#planRetry(id, link);
  }

  #planRetry(id: ServerKey, link: Link): void {
    if (this.#isClosed) return;
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** link.failures);
    link.failures += 1;
    link.retry = setTimeout(() => this.#retry(id, link), delayMs);
  }

  /** Only while the registry still knows this life of it as ready. */
  #retry(id: ServerKey, link: Link): void {
    const record = this.#options.registry.view.find(
      (known) => known.role === 'stratum-server' && known.id === id,
    );
    if (this.#isClosed || this.#links.get(id) !== link) return;
    if (record !== undefined && record.bootId === link.bootId && isLinkable(record))
      return this.#attempt(record, link);
    this.#links.delete(id); // If it comes back we hear of it.
    if (record !== undefined) this.#look(record);
  }

  #show(): void {
    this.#options.metrics.links.set(this.upCount);
  }
}

function isLinkable({ state, endpoints }: InstanceRecord): boolean {
  return state === 'ready' && endpoints.link !== '';
}
