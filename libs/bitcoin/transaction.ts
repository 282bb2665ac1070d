/**
 * Transactions, read with bounds: legacy and segwit.
 *
 * Note [MWEB is opaque]
 * Litecoin's HogEx and transactions with an MWEB part have flag 0x08. Their inner form is Litecoin's business and has
 * changed before, so we never decode or rebuild them: the bytes and ids of the template are carried as they are.
 */
import { concatBytes, equalBytes, uint32Le, uint64Le } from './bytes.ts';
import { encodeCompactSize, readCompactSize } from './compact-size.ts';
import { WireError } from './errors.ts';
import { sha256d } from './hash.ts';
import { Reader } from './reader.ts';

const WITNESS_FLAG = 0x01;
const MWEB_FLAG = 0x08;

/** [bytes] A block has at most 4 MB with witness, and so has every part of it. */
export const BLOCK_BYTES_MAX = 4_000_000;
/** [bytes] An input takes at least 41 bytes, an output 9, an item of a witness 1. */
const INPUTS_MAX = Math.floor(BLOCK_BYTES_MAX / 41);
const OUTPUTS_MAX = Math.floor(BLOCK_BYTES_MAX / 9);

const NULL_TXID = new Uint8Array(32);

export interface TransactionInput {
  /** 32 bytes, internal order. */
  readonly prevTxid: Uint8Array;
  readonly prevIndex: number;
  readonly scriptSig: Uint8Array;
  readonly sequence: number;
  /** Witness stack; empty without one. */
  readonly witness: readonly Uint8Array[];
}

export interface TransactionOutput {
  /** [sat] */
  readonly valueSat: bigint;
  readonly script: Uint8Array;
}

export interface Transaction {
  /** Unsigned view of the signed 32-bit version. */
  readonly version: number;
  readonly inputs: readonly TransactionInput[];
  readonly outputs: readonly TransactionOutput[];
  readonly lockTime: number;
  readonly hasWitness: boolean;
}

/** A transaction as it was read, with its ids in internal order. */
export interface ParsedTransaction extends Transaction {
  /** All its bytes, as a view of the input. */
  readonly raw: Uint8Array;
  readonly txid: Uint8Array;
  readonly wtxid: Uint8Array;
}

/** Whether these are the bytes of a transaction with an MWEB part or a HogEx. See Note [MWEB is opaque]. */
export function isMwebTransaction(bytes: Uint8Array): boolean {
  return bytes[4] === 0 && ((bytes[5] ?? 0) & MWEB_FLAG) !== 0;
}

function readScript(reader: Reader): Uint8Array {
  return reader.take(readCompactSize(reader, reader.remaining));
}

function readMany<T>(reader: Reader, max: number, readOne: (reader: Reader) => T): T[] {
  const count = readCompactSize(reader, Math.min(max, reader.remaining)); // An item takes a byte at least.
  return Array.from({ length: count }, () => readOne(reader));
}

function readInput(reader: Reader): TransactionInput {
  return {
    prevTxid: reader.take(32),
    prevIndex: reader.uintLe(4),
    scriptSig: readScript(reader),
    sequence: reader.uintLe(4),
    witness: [],
  };
}

function readOutput(reader: Reader): TransactionOutput {
  return { valueSat: reader.uint64Le(), script: readScript(reader) };
}

/** Reads marker and flag if they are there. @returns whether witnesses follow the outputs */
function readFlag(reader: Reader): boolean {
  if (reader.peek() !== 0) return false;
  const start = reader.offset;
  const flag = reader.take(2)[1] ?? 0;
  if ((flag & MWEB_FLAG) !== 0)
    throw new WireError('opaque_mweb', start, 'transactions with an MWEB part are not decoded');
  if (flag !== WITNESS_FLAG) throw new WireError('bad_value', start, `unknown flag ${flag}`);
  return true;
}

function withWitnesses(reader: Reader, inputs: readonly TransactionInput[]): TransactionInput[] {
  const start = reader.offset;
  const witnessed = inputs.map((input) => ({
    ...input,
    witness: readMany(reader, BLOCK_BYTES_MAX, readScript),
  }));
  // BIP 144: without any witness the old form must be used.
  if (witnessed.every((input) => input.witness.length === 0))
    throw new WireError('non_canonical', start, 'every witness is empty');
  return witnessed;
}

/**
 * Reads one transaction. Scripts are views of the input.
 *
 * @throws {WireError} also `opaque_mweb`: see Note [MWEB is opaque]
 * @see BIP 144
 */
export function readTransaction(reader: Reader): ParsedTransaction {
  const start = reader.offset;
  const version = reader.uintLe(4);
  const hasWitness = readFlag(reader);
  const bare = readMany(reader, INPUTS_MAX, readInput);
  if (bare.length === 0) throw new WireError('bad_value', start, 'a transaction without inputs');
  const outputs = readMany(reader, OUTPUTS_MAX, readOutput);
  const inputs = hasWitness ? withWitnesses(reader, bare) : bare;
  const lockTime = reader.uintLe(4);
  const raw = reader.since(start);
  const transaction = { version, inputs, outputs, lockTime, hasWitness };
  const wtxid = sha256d(raw);
  const txid = hasWitness
    ? sha256d(encodeTransaction({ ...transaction, hasWitness: false }))
    : wtxid;
  return { ...transaction, raw, txid, wtxid };
}

/** Exactly one transaction. @throws {WireError} */
export function parseTransaction(bytes: Uint8Array): ParsedTransaction {
  const reader = new Reader(bytes);
  const transaction = readTransaction(reader);
  reader.end();
  return transaction;
}

function encodeScript(script: Uint8Array): Uint8Array {
  return concatBytes(encodeCompactSize(script.length), script);
}

function encodeInput(input: TransactionInput): Uint8Array {
  const { prevTxid, prevIndex, scriptSig, sequence } = input;
  return concatBytes(prevTxid, uint32Le(prevIndex), encodeScript(scriptSig), uint32Le(sequence));
}

function encodeOutput(output: TransactionOutput): Uint8Array {
  return concatBytes(uint64Le(output.valueSat), encodeScript(output.script));
}

function encodeWitness(input: TransactionInput): Uint8Array {
  return concatBytes(encodeCompactSize(input.witness.length), ...input.witness.map(encodeScript));
}

/** The bytes of a transaction, in segwit form if it says so. */
export function encodeTransaction(transaction: Transaction): Uint8Array {
  const { version, inputs, outputs, lockTime, hasWitness } = transaction;
  return concatBytes(
    uint32Le(version),
    hasWitness ? Uint8Array.of(0, WITNESS_FLAG) : new Uint8Array(),
    encodeCompactSize(inputs.length),
    ...inputs.map(encodeInput),
    encodeCompactSize(outputs.length),
    ...outputs.map(encodeOutput),
    ...(hasWitness ? inputs.map(encodeWitness) : []),
    uint32Le(lockTime),
  );
}

/** A coinbase has one input, which spends nothing. */
export function isCoinbase(transaction: Transaction): boolean {
  const [input] = transaction.inputs;
  return (
    transaction.inputs.length === 1 &&
    input?.prevIndex === 0xffff_ffff &&
    equalBytes(input.prevTxid, NULL_TXID)
  );
}
