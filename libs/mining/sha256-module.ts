/**
 * SHA-256 as a WebAssembly module, written out here instruction by instruction.
 *
 * Note [Why WebAssembly]
 * A share with 12 merkle branches takes 28 hashes of a few dozen bytes. A call of node:crypto costs more than hashing
 * such a message: here a hash takes a quarter of the time, a share a third. No compiler is needed to build Seam, and
 * what runs can be read here.
 *
 * Memory is the caller's: it writes padded messages and reads digests. Nothing here allocates.
 *
 * @see FIPS 180-4, sections 4.1.2, 4.2.2, 5.3.3 and 6.2.2
 */

/** The part of the global that is used here: the types of Node have none, and `lib` has it only with the DOM. */
declare const WebAssembly: {
  readonly Memory: new (size: {
    initial: number;
    maximum: number;
  }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

/** First 32 bits of the fractions of the cube roots of the first 64 primes. */
const ROUND_CONSTANTS = primes(64).map((prime) => fractionBits(prime, 3n));
/** First 32 bits of the fractions of the square roots of the first 8 primes. */
const INITIAL_STATE = primes(8).map((prime) => fractionBits(prime, 2n));

/** [bytes] where the module keeps what it is working on; callers begin at {@link FREE_OFFSET}. */
const STATE_OFFSET = 0;
/** The digest of the first pass, as a padded block. */
const DIGEST_OFFSET = 64;
/** [bytes] from here on memory is the caller's */
export const FREE_OFFSET = 128;
const BLOCK_BYTES = 64;
const PAGE_BYTES = 65_536;

/** Instructions and types of the binary format. */
const OP = {
  loop: 0x03,
  end: 0x0b,
  branchIf: 0x0d,
  call: 0x10,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  load: 0x28,
  store: 0x36,
  constant: 0x41,
  add: 0x6a,
  sub: 0x6b,
  and: 0x71,
  or: 0x72,
  xor: 0x73,
  shiftRight: 0x76,
  rotateLeft: 0x77,
  rotateRight: 0x78,
} as const;
const I32 = 0x7f;
const NO_TYPE = 0x40;
const FUNCTION_TYPE = 0x60;

type Code = readonly number[];

/** The functions of the module. */
export interface Sha256Exports {
  /**
   * Double SHA-256.
   *
   * @param message offset of the padded message
   * @param blocks [64 bytes] of it, at least 1
   * @param digest offset where 32 bytes are written; may be where the message is
   */
  sha256d(message: number, blocks: number, digest: number): void;
}

/** An instance with memory of its own. @param memoryBytes [bytes] that callers need from {@link FREE_OFFSET} on */
export function instantiateSha256(memoryBytes: number): {
  memory: Uint8Array;
  exports: Sha256Exports;
} {
  const pages = Math.ceil((FREE_OFFSET + memoryBytes) / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const module = new WebAssembly.Module(moduleBytes(pages));
  const instance = new WebAssembly.Instance(module, { seam: { memory } });
  const bytes = new Uint8Array(memory.buffer);
  writePadding(bytes, DIGEST_OFFSET, 32);
  return { memory: bytes, exports: instance.exports as Sha256Exports };
}

/** [64 bytes] blocks of a message with its padding */
export function paddedBlocks(messageBytes: number): number {
  return Math.ceil((messageBytes + 9) / BLOCK_BYTES);
}

/** Writes what follows a message in its last block: a bit, zeros, and its length in bits. FIPS 180-4, 5.1.1. */
export function writePadding(memory: Uint8Array, offset: number, messageBytes: number): void {
  const end = offset + paddedBlocks(messageBytes) * BLOCK_BYTES;
  memory.fill(0, offset + messageBytes, end);
  memory[offset + messageBytes] = 0x80;
  new DataView(memory.buffer, memory.byteOffset).setUint32(end - 4, messageBytes * 8);
}

const get = (local: number): Code => [OP.localGet, local];
const set = (local: number): Code => [OP.localSet, local];
const tee = (local: number): Code => [OP.localTee, local];
const constant = (value: number): Code => [OP.constant, ...signedLeb(value)];
/** The 32-bit number at the address on the stack plus `offset`, little-endian. */
const load = (offset: number): Code => [OP.load, 2, ...leb(offset)];
const store = (offset: number): Code => [OP.store, 2, ...leb(offset)];
const rotated = (local: number, by: number): Code => [
  ...get(local),
  ...constant(by),
  OP.rotateRight,
];
const shifted = (local: number, by: number): Code => [
  ...get(local),
  ...constant(by),
  OP.shiftRight,
];

/** The number in `local` with its bytes in reverse order. */
function swapped(local: number): Code {
  return [
    ...[...get(local), ...constant(8), OP.rotateLeft, ...constant(0x00ff_00ff), OP.and],
    ...[...get(local), ...constant(8), OP.rotateRight, ...constant(0xff00_ff00 | 0), OP.and],
    OP.or,
  ];
}

/** Locals of `compress`: its parameter, the eight working variables, 16 words of the schedule, one for sums. */
const BLOCK = 0;
const WORKING = 1;
const WORDS = 9;
const SUM = 25;
const COMPRESS_LOCALS = 25;

/** `compress(block)`: works one block of 64 bytes into the state. All 64 rounds are unrolled. */
function compressBody(): Code {
  const code: number[] = [];
  for (let word = 0; word < 16; word += 1)
    code.push(...get(BLOCK), ...load(word * 4), ...set(SUM), ...swapped(SUM), ...set(WORDS + word));
  for (let index = 0; index < 8; index += 1)
    code.push(...constant(STATE_OFFSET), ...load(index * 4), ...set(WORKING + index));
  for (let round = 0; round < 64; round += 1) code.push(...roundCode(round));
  for (let index = 0; index < 8; index += 1) {
    const sum = [...constant(STATE_OFFSET), ...load(index * 4), ...get(WORKING + index), OP.add];
    code.push(...constant(STATE_OFFSET), ...sum, ...store(index * 4));
  }
  return code;
}

/** One round. Instead of moving a to b, b to c and so on, the names move: after 8 rounds they are home again. */
function roundCode(round: number): Code {
  const working = (index: number) => WORKING + ((((index - round) % 8) + 8) % 8);
  const [a, b, c, d] = [working(0), working(1), working(2), working(3)];
  const [e, f, g, h] = [working(4), working(5), working(6), working(7)];
  const word = WORDS + (round % 16);
  return [
    ...(round < 16 ? [] : scheduleCode(round)),
    ...get(h),
    ...[...rotated(e, 6), ...rotated(e, 11), OP.xor, ...rotated(e, 25), OP.xor, OP.add],
    ...[...get(g), ...get(e), ...get(f), ...get(g), OP.xor, OP.and, OP.xor, OP.add], // Ch
    ...[...constant((ROUND_CONSTANTS[round] ?? 0) | 0), OP.add, ...get(word), OP.add, ...set(SUM)],
    ...[...get(d), ...get(SUM), OP.add, ...set(d)],
    ...get(SUM),
    ...[...rotated(a, 2), ...rotated(a, 13), OP.xor, ...rotated(a, 22), OP.xor, OP.add],
    ...[
      ...get(a),
      ...get(b),
      OP.and,
      ...get(c),
      ...get(a),
      ...get(b),
      OP.xor,
      OP.and,
      OP.xor,
      OP.add,
    ], // Maj
    ...set(h),
  ];
}

/** The next word of the schedule, in the place of the one 16 rounds before. */
function scheduleCode(round: number): Code {
  const word = (back: number) => WORDS + ((round - back) % 16);
  return [
    ...get(word(16)),
    ...[
      ...rotated(word(15), 7),
      ...rotated(word(15), 18),
      OP.xor,
      ...shifted(word(15), 3),
      OP.xor,
      OP.add,
    ],
    ...[...get(word(7)), OP.add],
    ...[
      ...rotated(word(2), 17),
      ...rotated(word(2), 19),
      OP.xor,
      ...shifted(word(2), 10),
      OP.xor,
      OP.add,
    ],
    ...set(word(16)),
  ];
}

const COMPRESS = 0;

/** Locals of `sha256d`: its parameters and one for words. */
const MESSAGE = 0;
const BLOCKS = 1;
const DIGEST = 2;
const WORD = 3;
const SHA256D_LOCALS = 1;

function sha256dBody(): Code {
  return [
    ...initialState(),
    ...[OP.loop, NO_TYPE],
    ...[...get(MESSAGE), OP.call, COMPRESS],
    ...[...get(MESSAGE), ...constant(BLOCK_BYTES), OP.add, ...set(MESSAGE)],
    ...[...get(BLOCKS), ...constant(1), OP.sub, ...tee(BLOCKS), OP.branchIf, 0],
    OP.end,
    ...writeDigest(constant(DIGEST_OFFSET)),
    ...initialState(),
    ...[...constant(DIGEST_OFFSET), OP.call, COMPRESS],
    ...writeDigest(get(DIGEST)),
  ];
}

function initialState(): Code {
  return INITIAL_STATE.flatMap((value, index) => [
    ...[...constant(STATE_OFFSET), ...constant(value | 0), ...store(index * 4)],
  ]);
}

/** The state as 32 bytes, most significant byte of each word first. */
function writeDigest(address: Code): Code {
  return INITIAL_STATE.flatMap((_, index) => [
    ...[...constant(STATE_OFFSET), ...load(index * 4), ...set(WORD)],
    ...[...address, ...swapped(WORD), ...store(index * 4)],
  ]);
}

/** The binary format: magic, version, and the sections in their order. */
function moduleBytes(pages: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [
      [FUNCTION_TYPE, 1, I32, 0],
      [FUNCTION_TYPE, 3, I32, I32, I32, 0],
    ]),
    ...section(2, [[...name('seam'), ...name('memory'), 0x02, 0x01, ...leb(pages), ...leb(pages)]]),
    ...section(3, [[0], [1]]),
    ...section(7, [[...name('sha256d'), 0x00, 1]]),
    ...section(10, [body(compressBody(), COMPRESS_LOCALS), body(sha256dBody(), SHA256D_LOCALS)]),
  ]);
}

function section(id: number, items: readonly Code[]): Code {
  const content = [...leb(items.length), ...items.flat()];
  return [id, ...leb(content.length), ...content];
}

function body(code: Code, locals: number): Code {
  const content = [1, ...leb(locals), I32, ...code, OP.end];
  return [...leb(content.length), ...content];
}

function name(text: string): Code {
  return [...leb(text.length), ...Buffer.from(text)];
}

/** LEB128: seven bits a byte, least significant first. */
function leb(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...leb(value >>> 7)];
}

function signedLeb(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const isLast = (rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40);
  return isLast ? [low] : [low | 0x80, ...signedLeb(rest)];
}

function primes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let candidate = 2n; found.length < count; candidate += 1n)
    if (found.every((prime) => candidate % prime !== 0n)) found.push(candidate);
  return found;
}

/** The first 32 bits of the fraction of the `degree`th root: floor(root(value) x 2^32) without its whole part. */
function fractionBits(value: bigint, degree: bigint): number {
  const wanted = value << (32n * degree);
  let low = 0n;
  let high = value << 32n;
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (middle ** degree <= wanted) low = middle;
    else high = middle;
  }
  return Number(low & 0xffff_ffffn);
}
