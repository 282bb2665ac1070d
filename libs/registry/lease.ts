/** A lease as its holder sees it. */

export interface Lease extends AsyncDisposable {
  readonly resource: string;
  /** Fencing token: only grows. Every guarded write carries it. */
  readonly token: number;
  /** Extends the lease by its TTL; false: it is lost, step down. */
  renew(): Promise<boolean>;
  /**
   * Writes a value that a newer holder's write can never be overwritten by.
   * @throws {StaleLeaseError} if a newer token was seen
   */
  putGuarded(name: string, value: string): Promise<void>;
  release(): Promise<void>;
}
