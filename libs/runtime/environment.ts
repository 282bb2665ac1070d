/** The settings a process takes from its environment. The only reader of `process.env` is `read-environment.ts`. */
import type { StatsdAddress } from './statsd.ts';

export interface Environment {
  /** `REDIS_URL`: all four by default. Each of the variables may be given as a file, such as `REDIS_URL_FILE`. */
  readonly redisDiscoveryUrl: string;
  readonly redisStateUrl: string;
  readonly redisSharesUrl: string;
  readonly redisReadUrl: string;
  /** `SEAM_MESH_SECRET` or the content of `SEAM_MESH_SECRET_FILE`; several for a rotation, newest first, separated by commas. */
  readonly meshSecrets: readonly string[];
  /** `SEAM_INSTANCE`: name given by the converger. */
  readonly instance: string | undefined;
  /** `SEAM_GROUP` */
  readonly group: string;
  /** `SEAM_CHAIN`: which chain a jobmanager serves. */
  readonly chain: string | undefined;
  /** `SEAM_RUN_DIR`: overrides the configuration's. */
  readonly runDir: string | undefined;
  /** `SEAM_ZONE` */
  readonly zone: string;
  /** `SEAM_VERSION`, or the package's. */
  readonly version: string;
  /** `SEAM_BIND`: address the sockets of this process bind to, default 127.0.0.1. */
  readonly bindAddress: string;
  /** `SEAM_ADVERTISE`: address peers reach it by, default the bind address or the host name if that is 0.0.0.0. */
  readonly advertiseAddress: string;
  /** `SEAM_PORTS`: range `first-last` of dynamic ports, default 21000-21999. `PORT`: fixed HTTP port. */
  readonly portRange: readonly [number, number];
  readonly httpPort: number | undefined;
  /** `STATSD_HOST`: host[:port] */
  readonly statsd: StatsdAddress | undefined;
  /** `CONVERGER_PATH`: `observe-only` makes and shows plans, and performs nothing. Default `act`. */
  readonly convergerPath: 'act' | 'observe-only';
  /** `SEAM_LOG`: level. */
  readonly logLevel: string;
}
