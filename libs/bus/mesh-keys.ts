/** CURVE keys derived from the mesh secret: one server and one client key pair for the whole mesh. */

export interface CurveKeyPair {
  /** 40 characters of Z85. */
  readonly publicKey: string;
  readonly secretKey: string;
}

export interface MeshKeyring {
  /** Short id of the secret these keys come from. */
  readonly keyId: string;
  readonly server: CurveKeyPair;
  readonly client: CurveKeyPair;
}

/** All known keyrings, ours first; more than one only during a rotation. */
export interface MeshKeys {
  readonly own: MeshKeyring;
  readonly all: readonly MeshKeyring[];
}
