/** What this service takes from the pool's configuration. */
import { join } from 'node:path';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { type ConnectionLimits, DEFAULT_LIMITS } from './core/limits.ts';

export interface Settings {
  /** Where HAProxy finds our Unix sockets. */
  readonly edgeFolder: string;
  /** Names of the listeners HAProxy has a port for. */
  readonly listeners: readonly string[];
  readonly limits: ConnectionLimits;
  /** [connections] above it we do not listen, so that HAProxy takes another frontend */
  readonly connectionsMax: number;
  /** [bytes] of lines without acknowledgement, over all connections */
  readonly heldBytesMax: number;
}

/** Descriptors kept for links, Redis, logs and listeners: a process without one is aborted by libzmq. */
const RESERVED_DESCRIPTORS = 256;
const HELD_BYTES_MAX = 268_435_456;

/**
 * @param runDir the environment's word for it, which wins over the configuration's
 * @param descriptorsMax how many this process may have open
 */
export function settingsOf(
  config: ResolvedConfig,
  runDir: string | undefined,
  descriptorsMax: number,
): Settings {
  const { lineBytesMax, unacknowledgedLinesMax, holdMs, unsubscribedMs, connectionsMax } =
    config.limits;
  return {
    edgeFolder: join(runDir ?? config.runDir, 'edge'),
    listeners: config.listeners.map(({ name }) => name),
    limits: {
      ...DEFAULT_LIMITS,
      lineBytesMax,
      unacknowledgedLinesMax,
      holdMs,
      firstLineMs: unsubscribedMs,
    },
    connectionsMax: Math.max(1, Math.min(connectionsMax, descriptorsMax - RESERVED_DESCRIPTORS)),
    heldBytesMax: HELD_BYTES_MAX,
  };
}
