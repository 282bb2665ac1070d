/** Instance records for tests. */
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';

export function recordWith(change: Partial<InstanceRecord> = {}): InstanceRecord {
  return {
    role: 'reporter',
    id: 'a',
    group: 'reporter',
    version: '1',
    bootId: '0000000000000001',
    startedMs: 1,
    readyMs: 0,
    state: 'starting',
    zone: 'z',
    host: 'h',
    pid: 1,
    endpoints: {
      pub: 'tcp://127.0.0.1:1',
      rpc: 'tcp://127.0.0.1:2',
      link: '',
      http: 'http://127.0.0.1:3',
    },
    serverKeyId: 'k',
    caps: {},
    load: {},
    ...change,
  };
}
