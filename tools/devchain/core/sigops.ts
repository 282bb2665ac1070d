/** Signature operations as blocks are limited by them. @see Core CScript::GetSigOpCount(false) */
import type { ParsedTransaction } from '#libs/bitcoin/transaction.ts';

const OP_PUSHDATA1 = 0x4c;
const OP_PUSHDATA4 = 0x4e;
const OP_CHECKSIG = 0xac;
const OP_CHECKMULTISIG = 0xae;
const KEYS_MAX = 20;

/** Without witnesses; each counts four times against the limit. */
export function legacySigops({ inputs, outputs }: ParsedTransaction): number {
  const scripts = [
    ...inputs.map(({ scriptSig }) => scriptSig),
    ...outputs.map(({ script }) => script),
  ];
  return scripts.reduce((sum, script) => sum + scriptSigops(script), 0);
}

function scriptSigops(script: Uint8Array): number {
  let count = 0;
  let at = 0;
  while (at < script.length) {
    const opcode = script[at] ?? 0;
    at += 1;
    if (opcode < OP_PUSHDATA1) at += opcode;
    else if (opcode <= OP_PUSHDATA4) {
      const bytes = 1 << (opcode - OP_PUSHDATA1);
      if (at + bytes > script.length) return count; // A push that does not end: the rest is no code.
      at += bytes + Buffer.from(script.subarray(at, at + bytes)).readUIntLE(0, bytes);
    } else if (opcode === OP_CHECKSIG || opcode === OP_CHECKSIG + 1) count += 1;
    else if (opcode === OP_CHECKMULTISIG || opcode === OP_CHECKMULTISIG + 1) count += KEYS_MAX;
  }
  return count;
}
