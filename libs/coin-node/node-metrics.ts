/** What is measured of coin nodes. */
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';

export interface NodeMetrics {
  readonly rpcSeconds: Histogram<'chain' | 'method'>;
  readonly rpcFailures: Counter<'chain' | 'node' | 'code'>;
  readonly healthy: Gauge<'chain' | 'node'>;
  readonly current: Gauge<'chain' | 'node'>;
  readonly height: Gauge<'chain' | 'node'>;
  readonly tips: Counter<'chain' | 'source'>;
  readonly zmqGaps: Counter<'chain' | 'reason'>;
  readonly submits: Counter<'chain' | 'outcome'>;
}

export function createNodeMetrics(registry: Registry): NodeMetrics {
  const registers = [registry];
  return {
    rpcSeconds: new Histogram({
      name: 'seam_coin_node_rpc_seconds',
      help: 'Time of a finished call to a coin node, long polls excluded',
      labelNames: ['chain', 'method'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
      registers,
    }),
    rpcFailures: new Counter({
      name: 'seam_coin_node_rpc_failures_total',
      help: 'Failed calls to a coin node',
      labelNames: ['chain', 'node', 'code'],
      registers,
    }),
    healthy: new Gauge({
      name: 'seam_coin_node_healthy',
      help: '1 if the node can be mined on',
      labelNames: ['chain', 'node'],
      registers,
    }),
    current: new Gauge({
      name: 'seam_coin_node_current',
      help: '1 if templates come from this node',
      labelNames: ['chain', 'node'],
      registers,
    }),
    height: new Gauge({
      name: 'seam_coin_node_height_blocks',
      help: 'Height of the node’s best block',
      labelNames: ['chain', 'node'],
      registers,
    }),
    tips: new Counter({
      name: 'seam_coin_node_tips_total',
      help: 'New best blocks by who told us first',
      labelNames: ['chain', 'source'],
      registers,
    }),
    zmqGaps: new Counter({
      name: 'seam_coin_node_zmq_gaps_total',
      help: 'Times a ZMQ message may have been missed and the node was asked instead',
      labelNames: ['chain', 'reason'],
      registers,
    }),
    submits: new Counter({
      name: 'seam_coin_node_block_submits_total',
      help: 'Answers to submitblock',
      labelNames: ['chain', 'outcome'],
      registers,
    }),
  };
}
