/**
 * Which node to mine on. Pure.
 *
 * Note [Sticky node]
 * The current node stays current while it is healthy and no healthy node has more work: two nodes that hear of blocks
 * in turns must not make us jump. A node of higher rank gets its place back when it has been healthy and level for
 * `COME_BACK_MS` and the last change is as long ago, so that a flapping node moves us once a minute at most.
 */

export interface NodeTip {
  readonly hash: string;
  /** 64 hex digits, compared as text; undefined: not asked yet. */
  readonly chainwork: string | undefined;
  readonly height: number | undefined;
}

export interface NodeStanding {
  readonly name: string;
  readonly isHealthy: boolean;
  /** [ms] since when it is healthy without a break */
  readonly healthySinceMs: number;
  readonly tip: NodeTip | undefined;
}

/** [ms] See Note [Sticky node]. */
export const COME_BACK_MS = 60_000;

/**
 * @param nodes by rank: the first configured is the first choice
 * @param current name of the node in use
 * @param switchedMs when the current one became current
 * @returns name of the node to use, or undefined if none is healthy
 */
export function chooseNode(
  nodes: readonly NodeStanding[],
  current: string | undefined,
  switchedMs: number,
  nowMs: number,
): string | undefined {
  const healthy = nodes.filter((node) => node.isHealthy && node.tip !== undefined);
  const used = healthy.find((node) => node.name === current);
  if (used === undefined) return mostWork(healthy)?.name;
  const leader = mostWork(healthy);
  if (leader !== undefined && hasMoreWork(leader, used)) return leader.name;
  if (nowMs - switchedMs < COME_BACK_MS) return used.name;
  const preferred = healthy.find(
    (node) => nowMs - node.healthySinceMs >= COME_BACK_MS && isLevel(node, used),
  );
  const isHigher = preferred !== undefined && nodes.indexOf(preferred) < nodes.indexOf(used);
  return isHigher ? preferred.name : used.name;
}

/** The first of those with the most work; a node whose work is unknown counts as having none. */
function mostWork(nodes: readonly NodeStanding[]): NodeStanding | undefined {
  return nodes.reduce<NodeStanding | undefined>(
    (best, node) => (best === undefined || workOf(node) > workOf(best) ? node : best),
    undefined,
  );
}

function workOf(node: NodeStanding): string {
  return node.tip?.chainwork ?? '';
}

/** Only what is known counts: a tip just announced, whose work nobody asked for yet, is not behind. */
function hasMoreWork(one: NodeStanding, other: NodeStanding): boolean {
  return other.tip?.chainwork !== undefined && workOf(one) > other.tip.chainwork;
}

function isLevel(node: NodeStanding, used: NodeStanding): boolean {
  return node.tip?.hash === used.tip?.hash;
}
