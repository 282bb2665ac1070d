/** Writes PROXY v2 headers for tests, right ones and wrong ones. */
import { crc32c } from './crc32c.ts';

export interface HeaderParts {
  readonly local?: boolean;
  readonly source?: readonly [address: string, port: number];
  readonly uniqueId?: string;
  readonly withSum?: boolean;
  readonly tls?: {
    readonly version: string;
    readonly cipher?: string;
    readonly commonName?: string;
    readonly verify?: number;
  };
  /** Appended as they are. */
  readonly tlvs?: readonly Uint8Array[];
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A TLV: type, length, value. */
export function tlv(type: number, value: Uint8Array): Buffer {
  const head = Buffer.alloc(3);
  head.writeUInt8(type);
  head.writeUInt16BE(value.length, 1);
  return Buffer.concat([head, value]);
}

/** A valid TCP4 header to 10.0.0.2:3333, or a LOCAL one. */
export function encodeProxyHeader(parts: HeaderParts = {}): Buffer {
  const {
    local = false,
    source = ['203.0.113.7', 51_234],
    uniqueId,
    withSum = false,
    tls,
    tlvs = [],
  } = parts;
  if (local) return Buffer.concat([SIGNATURE, Buffer.from([0x20, 0x00, 0, 0]), ...tlvs]);
  const body = Buffer.concat([
    address(source[0]),
    address('10.0.0.2'),
    port(source[1]),
    port(3333),
    ...(withSum ? [tlv(0x03, Buffer.alloc(4))] : []), // Where the sum goes: byte 31 of the header.
    ...(uniqueId === undefined ? [] : [tlv(0x05, Buffer.from(uniqueId))]),
    ...(tls === undefined ? [] : [tlsTlv(tls)]),
    ...tlvs,
  ]);
  const header = Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11]), port(body.length), body]);
  if (withSum) header.writeUInt32BE(crc32c(header, 31), 31);
  return header;
}

function tlsTlv(tls: NonNullable<HeaderParts['tls']>): Buffer {
  const head = Buffer.from([0x01, 0, 0, 0, 0]);
  head.writeUInt32BE(tls.verify ?? 0, 1);
  const parts = [head, tlv(0x21, Buffer.from(tls.version))];
  if (tls.commonName !== undefined) parts.push(tlv(0x22, Buffer.from(tls.commonName)));
  if (tls.cipher !== undefined) parts.push(tlv(0x23, Buffer.from(tls.cipher)));
  return tlv(0x20, Buffer.concat(parts));
}

function address(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

function port(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
