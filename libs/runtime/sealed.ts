/** Secrets at rest in Redis: AES-256-GCM under a key derived from the mesh secret. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const PREFIX = 'sealed:1:';
const IV_BYTES = 12;
const TAG_BYTES = 16;

function keyOf(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'seam', 'sealed configuration v1', 32));
}

export function isSealed(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** @returns `sealed:1:` and base64 of IV, tag and ciphertext */
export function seal(text: string, secret: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), iv);
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return PREFIX + Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64');
}

/**
 * Opens with the first secret that fits: during a rotation there are two.
 *
 * @throws {Error} if none fits, or the text was changed
 */
export function unseal(text: string, secrets: readonly string[]): string {
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64');
  for (const secret of secrets) {
    const opened = tryUnseal(bytes, secret);
    if (opened !== undefined) return opened;
  }
  throw new Error('Cannot open a sealed value: it was sealed with another mesh secret, or changed');
}

function tryUnseal(bytes: Buffer, secret: string): string | undefined {
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyOf(secret), bytes.subarray(0, IV_BYTES));
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    return Buffer.concat([
      decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)),
      decipher.final(),
    ]).toString('utf8');
  } catch {
    return undefined; // The tag does not fit this secret.
  }
}
