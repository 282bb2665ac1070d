/** What devchain can fail with. */

/** An answer of the JSON-RPC with an error; the numbers are Bitcoin Core's (src/rpc/protocol.h). */
export class RpcFailure extends Error {
  override readonly name = 'RpcFailure';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export const RPC = {
  misc: -1,
  invalidAddressOrKey: -5,
  invalidParameter: -8,
  deserialization: -22,
  verifyRejected: -26,
  alreadyInChain: -27,
  invalidRequest: -32_600,
  methodNotFound: -32_601,
  parse: -32_700,
} as const;

/** Devchain cannot start as it was told to: exit 78. */
export class DevchainConfigError extends Error {
  override readonly name = 'DevchainConfigError';
}
