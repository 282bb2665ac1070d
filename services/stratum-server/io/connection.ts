/** One connection as this process holds it: its session, its place on the link, what the frontend has of its capsule. */
import type { ConnectionRef, DownItem } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import type { Session } from '../core/model.ts';
import type { RecentShares } from '../core/recent-shares.ts';
import type { ChainRuntime } from './chain-runtime.ts';

/** A line that waits for the lookup of an earlier one. */
export interface WaitingLine {
  readonly seq: number;
  readonly bytes: Uint8Array;
  /** [ms] when it first arrived at a frontend */
  readonly arrivedMs: number;
}

export interface Connection {
  readonly peer: LinkPeer;
  readonly ref: ConnectionRef;
  readonly chain: ChainRuntime;
  readonly tls: string;
  /** [ms] when its socket was accepted */
  readonly connectedMs: number;
  session: Session;
  recent: RecentShares;
  /** As the allocator knows it; undefined before mining.subscribe. */
  extranonce1: number | undefined;
  /** [bytes] the capsule at the frontend; 0: it has none */
  capsuleBytes: number;
  /** Lines behind a lookup; undefined: none is under way. */
  waiting: WaitingLine[] | undefined;
  /** It gets the casts of its chain. */
  isJoined: boolean;
  /** It left: nothing is sent to it any more. */
  isClosed: boolean;
  /** The job of the last mark the frontend named at `open`, '' for none: until a job was given. */
  lastMark: string;
  sharesAccepted: number;
  sharesRejected: number;
  lastShareMs: number;
  /** [ms] when the index of connections was last told */
  indexedMs: number;
  /** [ms] when the store of sessions was last told */
  storedMs: number;
}

export const NO_MARK = new Uint8Array();

/** Items of a connection, addressed. */
export function addressed({ ref: { handle, opening } }: Connection, item: ItemBody): DownItem {
  return { ...item, handle, opening } as DownItem; // A union without its address, and the address.
}

type OfConnection = Extract<DownItem, ConnectionRef>;
export type ItemBody = OfConnection extends infer Item
  ? Item extends OfConnection
    ? Omit<Item, keyof ConnectionRef>
    : never
  : never;
