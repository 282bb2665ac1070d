/** A driver starts and stops instances in some runtime: what `perform` needs of it, and no more. */
import type { DriverProcess } from '../../core/model.ts';

export interface DriverExit {
  readonly name: string;
  readonly group: string;
  /** null: by a signal, or seen by looking only */
  readonly code: number | null;
  /** [ms] how long it ran */
  readonly ranMs: number;
}

export interface Driver extends AsyncDisposable {
  /** Everything this driver has a record of on this host, whoever started it. */
  list(): Promise<readonly DriverProcess[]>;
  /** Starts an instance; `name_taken` if somebody else did. */
  start(group: string, name: string): Promise<'started' | 'name_taken'>;
  /** Asks to drain and stop, or kills. */
  stop(name: string, how: 'drain' | 'kill'): Promise<void>;
  /** Removes what is left of a dead instance. */
  forget(name: string): Promise<void>;
  /** Calls back when an instance ends: at once for those we started, by looking for the others. */
  onExit(listener: (exit: DriverExit) => void): Disposable;
}
