/** Socket options that put CURVE on a socket. Whoever binds is the CURVE server, whoever connects its client. */
import type { MeshKeyring, MeshKeys } from './mesh-keys.ts';

/** [ms] a connection that does not finish its handshake is closed after this */
const HANDSHAKE_MS = 5_000;

export interface CurveServerOptions {
  readonly curveServer: true;
  readonly curveSecretKey: string;
  readonly zapDomain: string;
  readonly zapEnforceDomain: true;
  readonly handshakeInterval: number;
}

export interface CurveClientOptions {
  readonly curveServerKey: string;
  readonly curvePublicKey: string;
  readonly curveSecretKey: string;
  readonly handshakeInterval: number;
}

/**
 * Options of a socket that binds. It lets nobody in before {@link ensureZap} was called for the same keys
 * (`zap.ts`): without a handler libzmq refuses, since the domain is enforced.
 */
export function curveServerOptions(meshKeys: MeshKeys): CurveServerOptions {
  return {
    curveServer: true,
    curveSecretKey: meshKeys.own.server.secretKey,
    zapDomain: zapDomainOf(meshKeys),
    zapEnforceDomain: true,
    handshakeInterval: HANDSHAKE_MS,
  };
}

/**
 * Options of a socket that connects to a process whose registry record names `serverKeyId`. The client key is of
 * the same secret, so that a server that does not know our newest secret yet lets us in.
 *
 * @throws {RangeError} if no known secret has this id
 */
export function curveClientOptions(meshKeys: MeshKeys, serverKeyId: string): CurveClientOptions {
  const keyring = findKeyring(meshKeys, serverKeyId);
  if (keyring === undefined) {
    throw new RangeError(
      `Cannot use server key "${serverKeyId}": no known mesh secret has this id`,
    );
  }
  return {
    curveServerKey: keyring.server.publicKey,
    curvePublicKey: keyring.client.publicKey,
    curveSecretKey: keyring.client.secretKey,
    handshakeInterval: HANDSHAKE_MS,
  };
}

/** The keyring with this id, if we know its secret. */
export function findKeyring(meshKeys: MeshKeys, keyId: string): MeshKeyring | undefined {
  return meshKeys.all.find((keyring) => keyring.keyId === keyId);
}

/** ZAP domain of sockets that accept exactly these keys: two meshes in one process do not mix. */
export function zapDomainOf(meshKeys: MeshKeys): string {
  return `seam:${meshKeys.all.map((keyring) => keyring.keyId).join('+')}`;
}
