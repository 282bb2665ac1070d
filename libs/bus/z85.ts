/** Z85: how CURVE keys are written in ZeroMQ's options. */

const ALPHABET =
  '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/**
 * Writes bytes as Z85: five characters for each four bytes, big-endian.
 *
 * @throws {RangeError} if the length is not a multiple of 4
 * @see https://rfc.zeromq.org/spec/32/
 */
export function encodeZ85(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) {
    throw new RangeError(`Cannot encode Z85 of ${bytes.length} bytes: must be a multiple of 4`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = '';
  for (let offset = 0; offset < bytes.length; offset += 4) text += group(view.getUint32(offset));
  return text;
}

function group(value: number): string {
  let text = '';
  for (let left = value, digit = 0; digit < 5; digit += 1, left = Math.floor(left / 85)) {
    text = ALPHABET.charAt(left % 85) + text;
  }
  return text;
}
