/** Who this process is. */
import { hostname } from 'node:os';
import type { Role } from '#libs/contracts/instance-record.ts';
import type { Environment } from './environment.ts';
import { randomHex } from './random.ts';
import type { Identity } from './service.ts';

/** The name the converger gave, or host and random for a process that was started by hand. */
export function identify(role: Role, environment: Environment, startedMs: number): Identity {
  const host = hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 24);
  return {
    role,
    id: environment.instance ?? `${role}-${host}-${randomHex(3)}`,
    group: environment.group,
    version: environment.version,
    bootId: randomHex(8),
    zone: environment.zone,
    startedMs,
  };
}
