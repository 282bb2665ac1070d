/**
 * The PROXY protocol header, version 2, that HAProxy writes before a connection's own bytes. Strict: a connection
 * without a whole valid header is refused, never guessed at. No socket.
 *
 * @see https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt sections 2.2 to 2.2.7
 */
import { crc32c } from './crc32c.ts';
import { ipv4Text, ipv6Text } from './ip-text.ts';

/** [bytes] of header and TLVs together; HAProxy's are a few hundred, client certificates are not asked for */
export const PROXY_HEADER_BYTES_MAX = 4_096;
/** [bytes] of the unique id; the protocol's own bound */
export const UNIQUE_ID_BYTES_MAX = 128;

type ProxyRefusal =
  | 'signature'
  | 'version'
  | 'command'
  | 'family'
  | 'too_long'
  | 'address_truncated'
  | 'tlv_truncated'
  | 'checksum'
  | 'unique_id';

/** What TLS the outer side of HAProxy speaks. */
export interface ProxyTls {
  readonly version: string;
  readonly cipher: string;
  /** Common name of the client's certificate; empty: none. */
  readonly commonName: string;
  /** The client's certificate was verified. */
  readonly isVerified: boolean;
}

export interface ProxyHeader {
  /** `local`: HAProxy speaks for itself, as in its health checks. */
  readonly command: 'proxy' | 'local';
  /** Empty if there is none, as with `local`. */
  readonly sourceAddress: string;
  readonly sourcePort: number;
  /** HAProxy's unique id; undefined if it sent none, or one that is not printable ASCII. */
  readonly uniqueId: string | undefined;
  readonly tls: ProxyTls | undefined;
}

export type ProxyVerdict =
  | {
      readonly kind: 'header';
      readonly header: ProxyHeader /** [bytes] of the header: the rest is the miner's */;
      readonly length: number;
    }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly code: ProxyRefusal };

const SIGNATURE = Uint8Array.from([
  0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
]);
const FIXED_BYTES = 16;
const TLV = { crc32c: 0x03, uniqueId: 0x05, ssl: 0x20 } as const;
const SSL_TLV = { version: 0x21, commonName: 0x22, cipher: 0x23 } as const;
/** [bytes] of addresses by family and transport; 0x12, 0x22, 0x32 are datagrams, which we do not serve. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216 };

/** Reads the header at the start of a connection. Says `incomplete` until it is all there, and refuses as early as it can. */
export function parseProxyHeader(bytes: Uint8Array): ProxyVerdict {
  if (SIGNATURE.some((byte, index) => index < bytes.length && bytes[index] !== byte))
    return refused('signature');
  const [versionAndCommand, family] = [bytes[12], bytes[13]];
  if (versionAndCommand !== undefined && versionAndCommand >> 4 !== 2) return refused('version');
  if (versionAndCommand !== undefined && (versionAndCommand & 0x0f) > 1) return refused('command');
  if (family !== undefined && ADDRESS_BYTES[family] === undefined) return refused('family');
  if (bytes.length < FIXED_BYTES) return { kind: 'incomplete' };
  const length = FIXED_BYTES + viewOf(bytes).getUint16(14);
  if (length > PROXY_HEADER_BYTES_MAX) return refused('too_long');
  if (bytes.length < length) return { kind: 'incomplete' };
  return parseWhole(bytes.subarray(0, length));
}

function parseWhole(bytes: Uint8Array): ProxyVerdict {
  const isLocal = bytes[12] === 0x20;
  const family = bytes[13] ?? 0;
  const tlvStart = FIXED_BYTES + (ADDRESS_BYTES[family] ?? 0);
  // LOCAL: "the receiver must accept this connection as valid and must use the real connection endpoints".
  if (isLocal)
    return { kind: 'header', header: { ...NO_SOURCE, command: 'local' }, length: bytes.length };
  if (tlvStart > bytes.length) return refused('address_truncated');
  const tlvs = readTlvs(bytes, tlvStart);
  if (tlvs === undefined) return refused('tlv_truncated');
  if (!isSumRight(bytes, tlvs)) return refused('checksum');
  const uniqueId = tlvs.find(({ type }) => type === TLV.uniqueId)?.value;
  if (uniqueId !== undefined && uniqueId.length > UNIQUE_ID_BYTES_MAX) return refused('unique_id');
  const ssl = tlvs.find(({ type }) => type === TLV.ssl)?.value;
  const tls = ssl === undefined ? undefined : readTls(ssl);
  if (tls === 'truncated') return refused('tlv_truncated');
  const header: ProxyHeader = {
    command: 'proxy',
    ...readSource(bytes, family),
    uniqueId: uniqueId === undefined ? undefined : printable(uniqueId),
    tls,
  };
  return { kind: 'header', header, length: bytes.length };
}

const NO_SOURCE = {
  sourceAddress: '',
  sourcePort: 0,
  uniqueId: undefined,
  tls: undefined,
} as const;

function readSource(
  bytes: Uint8Array,
  family: number,
): Pick<ProxyHeader, 'sourceAddress' | 'sourcePort'> {
  const view = viewOf(bytes);
  if (family === 0x11)
    return { sourceAddress: ipv4Text(bytes.subarray(16, 20)), sourcePort: view.getUint16(24) };
  if (family === 0x21)
    return { sourceAddress: ipv6Text(bytes.subarray(16, 32)), sourcePort: view.getUint16(48) };
  return { sourceAddress: family === 0x31 ? 'unix' : '', sourcePort: 0 };
}

interface Tlv {
  readonly type: number;
  readonly value: Uint8Array;
  /** [bytes] where the value stands in the header */
  readonly offset: number;
}

/** Undefined: one of them runs past the end. */
function readTlvs(bytes: Uint8Array, start: number): readonly Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  const view = viewOf(bytes);
  for (let at = start; at < bytes.length; ) {
    if (at + 3 > bytes.length) return undefined;
    const offset = at + 3;
    const end = offset + view.getUint16(at + 1);
    if (end > bytes.length) return undefined;
    tlvs.push({ type: view.getUint8(at), value: bytes.subarray(offset, end), offset });
    at = end;
  }
  return tlvs;
}

/** The sum covers the whole header with its own four bytes zero; without one there is nothing to check. */
function isSumRight(bytes: Uint8Array, tlvs: readonly Tlv[]): boolean {
  const sum = tlvs.find(({ type }) => type === TLV.crc32c);
  if (sum === undefined) return true;
  return sum.value.length === 4 && viewOf(sum.value).getUint32(0) === crc32c(bytes, sum.offset);
}

/** PP2_TYPE_SSL: client bits, verify result, then TLVs. Undefined: HAProxy's client does not use TLS. */
function readTls(ssl: Uint8Array): ProxyTls | undefined | 'truncated' {
  if (ssl.length < 5) return 'truncated';
  const tlvs = readTlvs(ssl, 5);
  if (tlvs === undefined) return 'truncated';
  const isTls = ((ssl[0] ?? 0) & 0x01) !== 0;
  if (!isTls) return undefined;
  const text = (wanted: number) =>
    printable(tlvs.find(({ type }) => type === wanted)?.value ?? EMPTY, 0x20) ?? '';
  const commonName = text(SSL_TLV.commonName);
  return {
    version: text(SSL_TLV.version),
    cipher: text(SSL_TLV.cipher),
    commonName,
    isVerified: commonName !== '' && viewOf(ssl).getUint32(1) === 0,
  };
}

const EMPTY = new Uint8Array(0);

/** Undefined unless it is one or more printable ASCII characters from `first` on: it goes into logs and key names. */
function printable(bytes: Uint8Array, first = 0x21): string | undefined {
  if (bytes.length === 0 || bytes.some((byte) => byte < first || byte > 0x7e)) return undefined;
  return String.fromCharCode(...bytes);
}

function refused(code: ProxyRefusal): ProxyVerdict {
  return { kind: 'refused', code };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
