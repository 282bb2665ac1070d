/**
 * From the mesh secret to CURVE keys. Pure: the same secret gives the same keys in every process and language.
 * docs/bus.md describes the derivation for other languages.
 */
import { createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto';
import type { CurveKeyPair, MeshKeyring, MeshKeys } from './mesh-keys.ts';
import { encodeZ85 } from './z85.ts';

/** [characters] shortest mesh secret taken. */
export const MESH_SECRET_LENGTH_MIN = 16;

const SALT = 'seam mesh v1';

/** RFC 8410: PKCS #8 of an X25519 private key is this and its 32 bytes. */
const X25519_PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

/**
 * Derives the keyrings of all known mesh secrets.
 *
 * @param secrets ours first; more than one only during a rotation. White space around one is ignored
 * @throws {RangeError} if there is none, or one is shorter than {@link MESH_SECRET_LENGTH_MIN}
 */
export function deriveMeshKeys(secrets: readonly string[]): MeshKeys {
  const all = secrets.map((secret) => deriveKeyring(secret.trim()));
  const own = all[0];
  if (own === undefined) throw new RangeError('Cannot derive mesh keys: there is no mesh secret');
  return { own, all };
}

function deriveKeyring(secret: string): MeshKeyring {
  if (secret.length < MESH_SECRET_LENGTH_MIN) {
    throw new RangeError(
      `Cannot derive mesh keys: a secret needs ${MESH_SECRET_LENGTH_MIN} characters, has ${secret.length}`,
    );
  }
  return {
    keyId: expand(secret, 'key id', 4).toString('hex'),
    server: curveKeyPair(expand(secret, 'curve server', 32)),
    client: curveKeyPair(expand(secret, 'curve client', 32)),
  };
}

/** RFC 5869: HKDF-SHA256 with the UTF-8 bytes of the secret as key material. */
function expand(secret: string, use: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', Buffer.from(secret, 'utf8'), SALT, use, bytes));
}

/** A CURVE key pair is an X25519 key pair (Curve25519, clamped when used). */
function curveKeyPair(secretKey: Buffer): CurveKeyPair {
  const key = createPrivateKey({
    key: Buffer.concat([X25519_PKCS8_HEAD, secretKey]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { publicKey: encodeZ85(publicKey), secretKey: encodeZ85(secretKey) };
}
