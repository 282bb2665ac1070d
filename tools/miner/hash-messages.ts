/** What goes between a miner and the thread that hashes for it. */
import type { Algorithm } from './hashing.ts';

export type ToHasher =
  | {
      readonly kind: 'open';
      readonly slot: number;
      readonly algorithm: Algorithm;
      readonly hashrateHps: number;
    }
  | {
      readonly kind: 'work';
      readonly slot: number;
      /** Given back with what is found, so that finds for earlier work are recognised. */
      readonly generation: number;
      /** 80 bytes; the nonce in it is where to begin. */
      readonly header: Uint8Array;
      /** 32 bytes, little-endian. */
      readonly target: Uint8Array;
    }
  | { readonly kind: 'idle'; readonly slot: number }
  | { readonly kind: 'close'; readonly slot: number };

export type FromHasher =
  | {
      readonly kind: 'found';
      readonly slot: number;
      readonly generation: number;
      readonly nonce: number;
    }
  | { readonly kind: 'exhausted'; readonly slot: number; readonly generation: number }
  | { readonly kind: 'hashed'; readonly slot: number; readonly hashes: number };
