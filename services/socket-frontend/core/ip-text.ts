/** Addresses as people read them. */

/** `203.0.113.7` from 4 bytes. */
export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join('.');
}

/** The shortest form of 16 bytes; an IPv4 address inside IPv6 is written as IPv4. @see RFC 5952 */
export function ipv6Text(bytes: Uint8Array): string {
  if (isMappedIpv4(bytes)) return ipv4Text(bytes.subarray(12));
  const groups = Array.from({ length: 8 }, (_, index) => {
    return ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0);
  });
  const { start, length } = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

function isMappedIpv4(bytes: Uint8Array): boolean {
  return (
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  );
}

function longestZeroRun(groups: readonly number[]): {
  readonly start: number;
  readonly length: number;
} {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  }
  return best;
}
