/** What a process hands on to the processes it starts. Beside `read-environment.ts` the only reader of `process.env`. */

const HANDED_ON =
  /^(PATH|HOME|LANG|TZ|NODE_EXTRA_CA_CERTS|NODE_OPTIONS|STATSD_HOST|REDIS_(|DISCOVERY_|STATE_|SHARES_|READ_)URL(|_FILE)|SEAM_(MESH_SECRET|MESH_SECRET_FILE|RUN_DIR|ZONE|BIND|ADVERTISE|PORTS|LOG|VERSION))$/;

/** The variables a child of ours runs with; the names of this process itself (instance, group, chain) are not among them. */
export function inheritedEnvironment(): Readonly<Record<string, string>> {
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && HANDED_ON.test(name) ? [[name, value] as const] : [],
  );
  return Object.fromEntries(entries);
}
