/** What the converger takes from the pool's configuration and its environment. */
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { ConfigError } from '#libs/runtime/errors.ts';
import { type Bounds, DEFAULT_BOUNDS, NO_BOUNDS } from './core/limit.ts';

export interface ConvergerSettings {
  /** [ms] at most one iteration of a group in this time */
  readonly intervalMs: number;
  readonly bounds: Bounds;
  readonly observer: boolean;
  /** `observe-only`: plans are made and shown, nothing is performed (X17). */
  readonly path: 'act' | 'observe-only';
}

/** @throws {ConfigError} if limits are on while the observer is off (1.13): nothing would bring the next iteration */
export function settingsOf(
  config: ResolvedConfig,
  path: 'act' | 'observe-only',
): ConvergerSettings {
  const { intervalMs, observer, limits } = config.converger;
  if (limits.enabled && !observer) {
    throw new ConfigError([
      'Cannot limit iterations without the observer: set converger.observer or switch converger.limits off',
    ]);
  }
  return { intervalMs, observer, path, bounds: limits.enabled ? DEFAULT_BOUNDS : NO_BOUNDS };
}
