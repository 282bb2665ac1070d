/**
 * `seam.yml`: the whole configuration of a pool, validated with all problems at once. An empty file runs.
 *
 * The command line (or a converger) imports it into Redis as a versioned value with secrets sealed by the mesh
 * secret; services read only that. Chain ids of the built-in node: `devchain`.
 */
import { z } from 'zod';
import { chainId } from './define.ts';

export const nodeConfig = z.object({
  url: z
    .url()
    .describe(
      'JSON-RPC of the coin node, user and password included: http://user:pass@127.0.0.1:9332',
    ),
  zmqHashblock: z
    .string()
    .regex(/^tcp:\/\/.+:\d+$/)
    .optional()
    .describe(
      'The node’s zmqpubhashblock endpoint: the fastest word of a new block. Without it a call of each jobmanager is held open at the node (long poll), which takes one of its rpcthreads',
    ),
});

export const chainConfig = z.object({
  id: chainId
    .optional()
    .describe(
      'Name of the chain within the pool; default: its chain, with its network unless main',
    ),
  chain: z.enum(['bitcoin', 'litecoin']).describe('Which rules: see libs/bitcoin/chains.ts'),
  network: z.enum(['main', 'test', 'signet', 'regtest']).default('main'),
  nodes: z
    .array(nodeConfig)
    .max(16)
    .default([])
    .describe('Several of one chain: failover, and blocks go to all'),
  payoutAddress: z
    .string()
    .max(128)
    .optional()
    .describe('Where blocks pay to; a real chain does not start without'),
  coinbaseTag: z
    .string()
    .max(32)
    .regex(/^[\x20-\x7e]*$/)
    .default('/Seam/')
    .describe('Printable ASCII in the coinbase'),
  feeBasisPoints: z.int().min(0).max(10_000).default(0).describe('[1/10000] the pool’s fee'),
  refreshMs: z
    .int()
    .min(1_000)
    .max(30_000)
    .default(25_000)
    .describe('[ms] between jobs with new transactions'),
  pollMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(1_000)
    .describe('[ms] between polls of the tip, the safety net'),
  staleWorkMs: z
    .int()
    .min(1_000)
    .max(3_600_000)
    .default(120_000)
    .describe('[ms] how long the last job is kept without any node'),
  onNoWork: z.enum(['fallback', 'hold']).default('fallback'),
});

export const listenerConfig = z.object({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,15}$/),
  port: z.int().min(1).max(65_535),
  chain: chainId.optional().describe('Default: the first chain'),
  mode: z.enum(['pool', 'solo']).default('pool'),
  startDifficulty: z.number().positive().describe('Difficulty of a new connection'),
  minDifficulty: z.number().positive().describe('Floor of vardiff and of what a miner may ask for'),
  vardiffTargetSec: z
    .number()
    .min(1)
    .max(120)
    .default(10)
    .describe('[s] wanted mean time between shares'),
  extranonce2Size: z.int().min(4).max(8).default(8).describe('[bytes]'),
});

const groupCounts = z.object({
  'stratum-server': z.int().min(0).max(100).default(2),
  'socket-frontend': z.int().min(0).max(8).default(2),
  jobmanager: z.int().min(0).max(8).default(2).describe('per chain'),
  reporter: z.int().min(0).max(16).default(1),
});

export const poolConfig = z.object({
  pool: z.object({ name: z.string().max(64).default('Seam') }).prefault({}),
  chains: z
    .array(chainConfig)
    .max(16)
    .default([])
    .describe('Empty: devchain, which is not real coins'),
  listeners: z
    .array(listenerConfig)
    .max(16)
    .default([])
    .describe('Empty: the defaults of the chains’ algorithms'),
  http: z
    .object({
      port: z
        .int()
        .min(1)
        .max(65_535)
        .default(8080)
        .describe('Public HTTP, served through HAProxy'),
      operatorPort: z
        .int()
        .min(1)
        .max(65_535)
        .default(8081)
        .describe('Operator API, on 127.0.0.1 only'),
    })
    .prefault({}),
  groups: groupCounts.prefault({}),
  limits: z
    .object({
      lineBytesMax: z
        .int()
        .min(1_024)
        .max(1_048_576)
        .default(16_384)
        .describe('[bytes] a longer line ends the connection'),
      workersPerConnectionMax: z.int().min(1).max(1_000).default(8),
      unacknowledgedLinesMax: z.int().min(1).max(1_024).default(64),
      holdMs: z
        .int()
        .min(1_000)
        .max(55_000)
        .default(45_000)
        .describe('[ms] lines are held without any server'),
      unsubscribedMs: z
        .int()
        .min(1_000)
        .default(30_000)
        .describe('[ms] a connection that never subscribes is closed'),
      connectionsMax: z.int().min(16).default(9_000).describe('per socket-frontend'),
      connectionsPerAddressMax: z
        .int()
        .min(1)
        .default(10_000)
        .describe('at once from one address, at HAProxy: a farm is one address'),
      connectionRatePerAddressMax: z
        .int()
        .min(1)
        .default(10_000)
        .describe('from one address within 10 s, at HAProxy'),
    })
    .prefault({}),
  journal: z
    .object({
      syncMs: z
        .int()
        .min(10)
        .max(60_000)
        .default(1_000)
        .describe('[ms] between fdatasync of the journal'),
      keepMs: z.int().min(0).default(86_400_000).describe('[ms] acknowledged segments are kept'),
      keepBytesMax: z.int().min(0).default(1_073_741_824),
      segmentBytesMax: z.int().min(65_536).default(67_108_864),
    })
    .prefault({}),
  converger: z
    .object({
      intervalMs: z
        .int()
        .min(100)
        .default(2_000)
        .describe('[ms] at most one iteration of a group in this time'),
      observer: z.boolean().default(true),
      limits: z.object({ enabled: z.boolean().default(true) }).prefault({}),
    })
    .prefault({}),
});

export type PoolConfig = z.infer<typeof poolConfig>;
export type ChainConfig = z.infer<typeof chainConfig>;
export type ListenerConfig = z.infer<typeof listenerConfig>;
export type NodeConfig = z.infer<typeof nodeConfig>;

/**
 * A configuration with nothing left open: every chain has an id, every listener a chain. This is what stands in
 * Redis and what services read. Made by `tools/cli` with `resolvePoolConfig()`.
 */
export const resolvedConfig = poolConfig.extend({
  chains: z
    .array(chainConfig.extend({ id: chainId, isDevchain: z.boolean() }))
    .min(1)
    .max(16),
  listeners: z
    .array(listenerConfig.extend({ chain: chainId }))
    .min(1)
    .max(16),
  runDir: z
    .string()
    .min(1)
    .describe('Run folder on the hosts: journals, bodies, edge sockets, driver records'),
});
export type ResolvedConfig = z.infer<typeof resolvedConfig>;
export type ResolvedChain = ResolvedConfig['chains'][number];
export type ResolvedListener = ResolvedConfig['listeners'][number];
