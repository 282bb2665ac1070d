/** The registry record of one process: `svc:<role>:<id>`, a hash of one JSON string a field, with a TTL. */
import { z } from 'zod';

export const ROLES = [
  'jobmanager',
  'stratum-server',
  'socket-frontend',
  'reporter',
  'converger',
  'agent',
  'launcher',
] as const;
export const role = z.enum(ROLES);
export type Role = z.infer<typeof role>;

export const instanceState = z.enum(['starting', 'ready', 'draining']);
export type InstanceState = z.infer<typeof instanceState>;

export const instanceRecord = z.object({
  role,
  id: z
    .string()
    .min(1)
    .max(64)
    .describe('Unique within the role: the name the converger gave, or host and random'),
  group: z
    .string()
    .max(64)
    .describe('The group it belongs to, such as stratum-server or jobmanager/ltc; empty: by hand'),
  version: z.string().max(64).describe('Version of the program'),
  bootId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .describe('One life of the process'),
  startedMs: z.int().min(0).describe('[ms] when the process started'),
  readyMs: z.int().min(0).describe('[ms] when it first became ready; 0: not yet'),
  state: instanceState,
  zone: z.string().max(64),
  host: z.string().max(255),
  pid: z.int().min(0),
  endpoints: z.object({
    pub: z.string().describe('ZeroMQ endpoint of the PUB socket'),
    rpc: z.string().describe('ZeroMQ endpoint of the ROUTER socket'),
    link: z.string().describe('ZeroMQ endpoint of the link; empty: none'),
    http: z.string().describe('URL of /healthz, /readyz and /metrics'),
  }),
  serverKeyId: z.string().max(16).describe('Which mesh secret its CURVE server key comes from'),
  caps: z.record(z.string(), z.string()).describe('Capabilities, such as chain=ltc or slot=2'),
  load: z.record(z.string(), z.number()).describe('Load figures, such as sessions or lagMs'),
  revision: z
    .int()
    .min(0)
    .optional()
    .describe('Counts the changes of this boot: an older scan does not undo an announcement'),
});
export type InstanceRecord = z.infer<typeof instanceRecord>;
