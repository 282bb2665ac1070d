/** What can go wrong with leases. */

/** A newer holder has written: we are not the holder any more, whatever we thought. Step down. */
export class StaleLeaseError extends Error {
  override readonly name = 'StaleLeaseError';
  readonly code = 'stale_lease';
  readonly resource: string;
  readonly token: number;

  constructor(resource: string, token: number) {
    super(`Cannot write as holder of ${resource}: a newer token than ${token} was seen`);
    this.resource = resource;
    this.token = token;
  }
}
