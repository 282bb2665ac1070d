/** What a service is to the runtime, and what the runtime gives it. */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Bus } from '#libs/bus/bus.ts';
import type { MeshKeys } from '#libs/bus/mesh-keys.ts';
import type { Role } from '#libs/contracts/instance-record.ts';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { Environment } from './environment.ts';

/** Who this process is. */
export interface Identity {
  readonly role: Role;
  readonly id: string;
  readonly group: string;
  readonly version: string;
  readonly bootId: string;
  readonly zone: string;
  readonly startedMs: number;
}

/** Connections by purpose; all three may be one server. */
export interface RedisConnections {
  readonly discovery: Redis;
  readonly state: Redis;
  readonly shares: Redis;
}

/** Everything a service stands on. Owned by `run()`, which disposes it after the service. */
export interface ServiceContext {
  readonly identity: Identity;
  readonly environment: Environment;
  /** The pool's configuration as of start. */
  readonly config: ResolvedConfig;
  readonly configVersion: number;
  readonly bus: Bus;
  readonly registry: Registry;
  readonly redis: RedisConnections;
  readonly meshKeys: MeshKeys;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Aborted when the process stops: after its drain, or at once while it still starts. */
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
  /** Sets what /readyz and the registry say. */
  setReady(isReady: boolean, reason?: string): void;
  /** Makes an error that no one can handle end the process with exit 70. */
  fatal(error: unknown): void;
}

export interface Service extends AsyncDisposable {
  /** Moves work away and resolves when none is left; then the service is disposed. Bounded by the stop grace. */
  drain?(signal: AbortSignal): Promise<void>;
}

/** How a service starts: acquires top to bottom, and has released everything if it throws. */
export type Start = (context: ServiceContext) => Promise<Service>;
