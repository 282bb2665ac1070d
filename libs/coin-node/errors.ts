/** What can go wrong between us and a coin node. */

export type RpcErrorCode =
  | 'unreachable'
  | 'unauthorized'
  | 'timeout'
  | 'rpc'
  | 'malformed'
  | 'aborted';

/** JSON-RPC error numbers of Bitcoin Core (src/rpc/protocol.h) that mean something to us. */
export const RPC_CODE = {
  invalidAddressOrKey: -5,
  invalidParameter: -8,
  notConnected: -9,
  inInitialDownload: -10,
  deserialization: -22,
  inWarmup: -28,
  methodNotFound: -32_601,
} as const;

/**
 * A call to a coin node failed. `code` is for programs, `message` for people: never match on `message`.
 * `rpcCode` is the node's own number when `code` is `rpc`. Never holds a user or a password.
 */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: RpcErrorCode;
  readonly method: string;
  readonly node: string;
  readonly rpcCode: number | undefined;
  /** The node's word, or what happened to the call. */
  readonly detail: string;
  readonly retryable: boolean;

  constructor(
    code: RpcErrorCode,
    call: { readonly method: string; readonly node: string; readonly rpcCode?: number },
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot call ${call.method} on ${call.node}: ${detail}`, options);
    this.code = code;
    this.method = call.method;
    this.node = call.node;
    this.rpcCode = call.rpcCode;
    this.detail = detail;
    this.retryable = code === 'unreachable' || code === 'timeout' || code === 'malformed';
  }
}

/** A configured node serves another chain or network than configured: nothing but a human can fix it. */
export class WrongChainError extends Error {
  override readonly name = 'WrongChainError';
  readonly node: string;

  constructor(node: string, chain: string, found: string) {
    super(`Cannot use node ${node} as ${chain}: it serves ${found}`);
    this.node = node;
  }
}

/** No node of the chain can be asked now. The loop retries. */
export class NoNodeError extends Error {
  override readonly name = 'NoNodeError';
  readonly code = 'no_node';
  readonly retryable = true;

  constructor(chain: string, detail: string, options?: ErrorOptions) {
    super(`Cannot ask any node of chain ${chain}: ${detail}`, options);
  }
}
