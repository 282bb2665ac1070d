/** What an HAProxy of the edge is told, as data. Rendered by `render.ts`. */
import { createHash } from 'node:crypto';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';

interface StratumListener {
  readonly name: string;
  /** Such as `*:3333`. */
  readonly bind: string;
}

export interface EdgeModel {
  /** Makes connection ids unique across HAProxys: `%pid` and `%rt` repeat between containers. */
  readonly replica: string;
  /** Folder of the Unix sockets of frontends (`<slot>.<listener>.sock`), reporters and convergers. */
  readonly edge: string;
  /** Folder of HAProxy's own sockets. */
  readonly folder: string;
  readonly listeners: readonly StratumListener[];
  readonly publicBind: string;
  readonly operatorBind: string;
  readonly frontendSlots: number;
  readonly httpSlots: number;
  readonly apiSlots: number;
  /** [connections] of this process; each takes two file descriptors */
  readonly connectionsMax: number;
  /** [connections] at once from one address */
  readonly perAddressMax: number;
  /** [connections] from one address within 10 s */
  readonly perAddressRate: number;
}

/** Slots HAProxy knows from the beginning: instances come and go in them without a reload. */
const FRONTEND_SLOTS = 8;
const HTTP_SLOTS = 4;
const API_SLOTS = 4;

/** [descriptors] HAProxy needs beside its connections: listeners, health checks, sockets of its own. */
const DESCRIPTORS_RESERVED = 400;
const CONNECTIONS_CEILING = 200_000;

/** HAProxy refuses to start with a `maxconn` its descriptors do not suffice for. */
export function connectionsForDescriptors(descriptors: number): number {
  return Math.max(
    64,
    Math.min(CONNECTIONS_CEILING, Math.floor((descriptors - DESCRIPTORS_RESERVED) / 2)),
  );
}

/** [bytes] of a connection's id, and what of it is not the replica's name: two IPv6 addresses with ports, time, counter, pid. */
const UNIQUE_ID_BYTES_MAX = 128;
const UNIQUE_ID_TAIL_BYTES = 108;
const REPLICA_BYTES_MAX = UNIQUE_ID_BYTES_MAX - UNIQUE_ID_TAIL_BYTES;

/** A host's name fit for connection ids: HAProxy cuts an id at 128 bytes, and what is cut makes it unique. */
export function replicaName(host: string): string {
  const plain = host.replaceAll(/[^A-Za-z0-9-]/g, '-') || 'edge';
  if (plain.length <= REPLICA_BYTES_MAX) return plain;
  const hash = createHash('sha256').update(host).digest('hex').slice(0, 8);
  return `${plain.slice(0, REPLICA_BYTES_MAX - 9)}-${hash}`;
}

interface EdgePlace {
  /** The host's name, or another one no second HAProxy has. */
  readonly replica: string;
  readonly edge: string;
  readonly folder: string;
  /** [descriptors] the process may have */
  readonly descriptors: number;
  /** Address the operator API binds to: the loopback, or all inside a container that publishes it on the loopback. */
  readonly operatorAddress: string;
}

export function edgeModel(config: ResolvedConfig, place: EdgePlace): EdgeModel {
  const { replica, edge, folder, descriptors, operatorAddress } = place;
  return {
    replica: replicaName(replica),
    edge,
    folder,
    listeners: config.listeners.map(({ name, port }) => ({ name, bind: `*:${port}` })),
    publicBind: `*:${config.http.port}`,
    operatorBind: `${operatorAddress}:${config.http.operatorPort}`,
    frontendSlots: FRONTEND_SLOTS,
    httpSlots: HTTP_SLOTS,
    apiSlots: API_SLOTS,
    connectionsMax: connectionsForDescriptors(descriptors),
    perAddressMax: config.limits.connectionsPerAddressMax,
    perAddressRate: config.limits.connectionRatePerAddressMax,
  };
}
