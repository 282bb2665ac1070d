/**
 * Every Redis key of Seam, in one place. Keys that one script touches together share a hash tag `{…}`,
 * so that Redis Cluster keeps them on one node.
 */

/** Discovery Redis. */
export const keys = {
  storeGeneration: 'seam:generation',
  /** hash `config` of the pool: fields version, content (JSON with sealed secrets). */
  config: '{config}:current',
  configVersion: '{config}:version',
  instance: (role: string, id: string) => `svc:${role}:${id}`,
  /** Set of the instances' keys: read in one go, without a scan over everything else. */
  instanceIndex: 'svc-index',
  /** Grows with every join, change and leave: who knows its value need not read the records again. */
  instanceVersion: 'svc-version',
  lease: (resource: string) => `lease:{${resource}}:holder`,
  leaseToken: (resource: string) => `lease:{${resource}}:token`,
  leaseGuard: (resource: string) => `lease:{${resource}}:guard`,
  /** Guarded value written under a lease. */
  guarded: (resource: string, name: string) => `lease:{${resource}}:v:${name}`,

  /** State Redis. */
  extranoncePrefix: (prefixHex: string) => `xn:${prefixHex}`,
  /** Which server took over the session that has this extranonce1. */
  extranonceHolder: (extranonce1Hex: string) => `xnr:${extranonce1Hex}`,
  connection: (conn: string) => `conn:${conn}`,
  resume: (sessionId: string) => `resume:${sessionId}`,
  job: (chain: string, jobId: string) => `job:{${chain}}:${jobId}`,
  jobBody: (chain: string, bodyId: string) => `body:{${chain}}:${bodyId}`,

  /** Shares Redis: all books of a chain under one tag. */
  journalWatermarks: (chain: string) => `books:{${chain}}:watermarks`,
  identityBucket: (chain: string, height: number) => `books:{${chain}}:seen:${height}`,
  /** hash; with `:users` behind it the hash address -> work. */
  round: (chain: string, roundId: string) => `books:{${chain}}:round:${roundId}`,
  books: (chain: string, name: string) => `books:{${chain}}:${name}`,
  /** hash journal id -> JSON of who opened it when. */
  journals: (chain: string) => `books:{${chain}}:journals`,
  /** hash: sums of the chain since the books began. */
  totals: (chain: string) => `books:{${chain}}:totals`,
  /** hash reason -> count. */
  rejects: (chain: string) => `books:{${chain}}:rejects`,
  /** sorted set of workers with accepted shares, by time of the last one. */
  workerIndex: (chain: string) => `books:{${chain}}:workers`,
  worker: (chain: string, name: string) => `books:{${chain}}:worker:${name}`,
  /** hash minute of the hour -> work; `subject` is `pool` or `worker:<name>`, `hour` is hours since 1970. */
  series: (chain: string, subject: string, hour: number) =>
    `books:{${chain}}:series:${hour}:${subject}`,
  block: (chain: string, hash: string) => `books:{${chain}}:block:${hash}`,
  blockIndex: (chain: string) => `books:{${chain}}:blocks`,

  /** Desired counts and claims of the converger. */
  group: (group: string) => `group:{${group}}`,
  groupIndex: 'groups',
} as const;
