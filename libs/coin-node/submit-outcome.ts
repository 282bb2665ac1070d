/** What the answer to submitblock means (BIP 22). Pure. */
import { RPC_CODE, RpcError } from './errors.ts';

export interface Submitted {
  /**
   * `inconclusive`: valid as far as the node looked, but not its best chain (or it has it already without having
   * looked); `unavailable`: no answer, the node may or may not have it.
   */
  readonly outcome: 'accepted' | 'duplicate' | 'rejected' | 'inconclusive' | 'unavailable';
  /** The node's word; empty if accepted. */
  readonly reason: string;
}

const REASON_CHARS_MAX = 256;

export function outcomeOfAnswer(result: unknown): Submitted {
  if (result === null) return { outcome: 'accepted', reason: '' };
  if (typeof result !== 'string') return { outcome: 'unavailable', reason: 'malformed answer' };
  const reason = result.slice(0, REASON_CHARS_MAX);
  switch (reason) {
    case 'duplicate':
      return { outcome: 'duplicate', reason };
    case 'inconclusive':
    case 'duplicate-inconclusive':
      return { outcome: 'inconclusive', reason };
    default:
      return { outcome: 'rejected', reason }; // high-hash, bad-*, stale-prevblk, duplicate-invalid, rejected, ...
  }
}

/** Only a node that could read the block and said no has rejected it. */
export function outcomeOfError(error: unknown): Submitted {
  if (!(error instanceof RpcError)) return { outcome: 'unavailable', reason: String(error) };
  const reason = error.detail.slice(0, REASON_CHARS_MAX);
  const isRefusal = error.code === 'rpc' && error.rpcCode === RPC_CODE.deserialization;
  return { outcome: isRefusal ? 'rejected' : 'unavailable', reason };
}
