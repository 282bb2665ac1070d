/**
 * One example of every contract, with every optional field. The golden frames in `test/golden/frames` are made of
 * them: an example of a released version is only ever added to, never changed.
 */
import type { Topic, MessageOf, Rpc, RequestOf, ReplyOf } from './define.ts';
import type { blockChanged } from './block-changed.ts';
import type { blockRelay } from './block-relay.ts';
import type { blockSubmit } from './block-submit.ts';
import type { groupChanged } from './group-changed.ts';
import type { instanceChanged } from './instance-changed.ts';
import type { InstanceRecord } from './instance-record.ts';
import type { Job } from './job.ts';
import type { jobAnnounced } from './job-announced.ts';
import type { jobLookup } from './job-lookup.ts';
import type { jobSnapshot } from './job-snapshot.ts';
import type { sessionResumed } from './session-resumed.ts';
import type { sharesApply } from './shares-apply.ts';

/** A message of a topic, or what goes to and comes back from an RPC. */
export type Example =
  | {
      readonly kind: 'topic';
      readonly key: string;
      readonly message: unknown;
      readonly attachments: readonly Uint8Array[];
    }
  | {
      readonly kind: 'rpc';
      readonly request: unknown;
      readonly reply: unknown;
      readonly attachments: readonly Uint8Array[];
    };

function topic<T extends Topic>(
  key: string,
  message: MessageOf<T>,
  attachments: readonly Uint8Array[] = [],
): Example {
  return { kind: 'topic', key, message, attachments };
}

function rpc<R extends Rpc>(
  request: RequestOf<R>,
  reply: ReplyOf<R>,
  attachments: readonly Uint8Array[] = [],
): Example {
  return { kind: 'rpc', request, reply, attachments };
}

const hash = (digits: string, bytes: number) => digits.repeat(bytes);

const job: Job = {
  jobId: '0123456789abcdef',
  chain: 'ltc',
  height: 2_700_000,
  parent: hash('1a', 32),
  version: 0x2000_0000,
  versionMask: 0x1fff_e000,
  nbits: 0x1927_6be3,
  curtime: 1_760_000_000,
  mintime: 1_759_999_000,
  coinbase: {
    version: 2,
    scriptSigHead: '03e03229',
    extranonce1Size: 4,
    extranonce2Size: 8,
    scriptSigTail: '2f5365616d2f',
    sequence: 0xffff_fffe,
    valueSat: 625_012_345,
    poolScript: `0014${hash('ab', 20)}`,
    feeBasisPoints: 150,
    extraOutputs: [{ valueSat: 0, script: `6a24aa21a9ed${hash('cd', 32)}` }],
    lockTime: 2_699_999,
  },
  merkleBranch: [hash('2b', 32), hash('3c', 32)],
  bodyId: hash('4d', 16),
};

const record: InstanceRecord = {
  role: 'stratum-server',
  id: 'stratum-server-1',
  group: 'stratum-server',
  version: '0.1.0',
  bootId: 'fedcba9876543210',
  startedMs: 1_760_000_000_000,
  readyMs: 1_760_000_000_250,
  state: 'ready',
  zone: 'a',
  host: 'host-1',
  pid: 4_242,
  endpoints: {
    pub: 'tcp://127.0.0.1:21000',
    rpc: 'tcp://127.0.0.1:21001',
    link: 'tcp://127.0.0.1:21002',
    http: 'http://127.0.0.1:21003',
  },
  serverKeyId: '976c500d',
  caps: { slot: '2' },
  load: { sessions: 1_000, lagMs: 1.5 },
};

/** By subject. */
export const EXAMPLES: Readonly<Record<string, Example>> = {
  'block.changed@1': topic<typeof blockChanged>('ltc', {
    chain: 'ltc',
    hash: hash('5e', 32),
    height: 2_700_000,
    state: 'accepted',
    reason: '',
  }),
  'block.relay@1': rpc<typeof blockRelay>(
    { chain: 'ltc', hash: hash('5e', 32), height: 2_700_000 },
    { outcome: 'duplicate', reason: 'duplicate' },
    [Uint8Array.of(0, 0, 0, 0x20)],
  ),
  'block.submit@1': rpc<typeof blockSubmit>(
    {
      chain: 'ltc',
      hash: hash('5e', 32),
      header: hash('6f', 80),
      coinbase: '0200000001',
      job,
      worker: 'ltc1qexample.rig1',
      foundMs: 1_760_000_001_000,
    },
    { outcome: 'accepted', reason: '' },
  ),
  'group.changed@1': topic<typeof groupChanged>('', {
    group: 'jobmanager/ltc',
    cause: 'api: desired 3',
  }),
  'instance.changed@1': topic<typeof instanceChanged>('', { event: 'joined', record }),
  'job.announced@1': topic<typeof jobAnnounced>('ltc', {
    chain: 'ltc',
    job,
    cause: 'new_block',
    startedMs: 1_760_000_000_000,
    tipAgeMs: 0,
    refused: [hash('7a', 32)],
  }),
  'job.lookup@1': rpc<typeof jobLookup>(
    { chain: 'ltc', jobId: '0123456789abcdef' },
    { job, isCurrentHeight: true },
  ),
  'job.snapshot@1': rpc<typeof jobSnapshot>(
    { chain: 'ltc' },
    { jobs: [job], startedMs: 1_760_000_000_000, lastTemplateAgeMs: 12, refused: [hash('7a', 32)] },
  ),
  'session.resumed@1': topic<typeof sessionResumed>('', {
    sessionId: hash('9c', 16),
    extranonce1: '0000a52a',
    conn: 'edge-1-C0000201:C822_C0000202:0D05_68F0C1A0_0001:2A',
  }),
  'shares.apply@1': rpc<typeof sharesApply>(
    { journal: hash('8b', 16), chain: 'ltc', from: 1_000, to: 3_000, lost: false },
    { applied: true, watermark: 3_000 },
    [Uint8Array.of(1, 2, 3, 4)],
  ),
};
