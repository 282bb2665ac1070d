/**
 * What crosses the link between a socket-frontend and a stratum-server: types only, no bytes, no socket.
 * `link-codec.ts` packs them. See DESIGN.md section 5 and docs/link.md.
 */

/**
 * A connection on this link: `handle` is the frontend's number for it (unique while the frontend process lives),
 * `opening` counts its openings on servers, +1 at every `open`. Items of an older opening are skipped.
 */
export interface ConnectionRef {
  readonly handle: number;
  readonly opening: number;
}

/** At most 16 opaque bytes naming the job a written notify was for. */
export type Mark = Uint8Array;

/** socket-frontend -> stratum-server */
export type UpItem =
  | ({
      readonly kind: 'open';
      /** HAProxy's unique id: the key in logs, Redis and shares. */
      readonly conn: string;
      readonly peerAddress: string;
      readonly peerPort: number;
      readonly listener: string;
      readonly tls: string;
      /** [ms] since the socket was accepted */
      readonly ageMs: number;
      /** Empty: a new connection. Otherwise the truth about the session. */
      readonly capsule: Uint8Array;
      /** Marks of the last notifies really written to the socket, oldest first. */
      readonly marks: readonly Mark[];
      /** The next line number; lines below it were acknowledged. */
      readonly nextSeq: number;
    } & ConnectionRef)
  | ({
      readonly kind: 'line';
      readonly seq: number;
      /** [ms] since the line's first arrival; more than 0 when it is sent again. */
      readonly ageMs: number;
      /** Without its line end. */
      readonly bytes: Uint8Array;
    } & ConnectionRef)
  /** The opening is over. Reason `moved`: the connection lives on at another server; any other: its socket is closed. */
  | ({ readonly kind: 'close'; readonly reason: string } & ConnectionRef);

/** stratum-server -> socket-frontend */
export type DownItem =
  | ({ readonly kind: 'write'; readonly bytes: Uint8Array; readonly mark: Mark } & ConnectionRef)
  | ({ readonly kind: 'ack'; readonly seq: number } & ConnectionRef)
  | ({
      readonly kind: 'capsule';
      readonly change: 'set' | 'append';
      readonly bytes: Uint8Array;
    } & ConnectionRef)
  | ({ readonly kind: 'join' | 'leave'; readonly group: number } & ConnectionRef)
  | {
      readonly kind: 'cast';
      readonly group: number;
      readonly bytes: Uint8Array;
      readonly mark: Mark;
      /** Which unsent cast it may replace: `refresh` only an unsent refresh, `all` any unsent cast (a clean notify). */
      readonly replaces: 'refresh' | 'all';
    }
  /** Line written each `afterMs` of silence towards the miner; 0 switches it off. Survives the server. */
  | ({
      readonly kind: 'idle';
      readonly afterMs: number;
      readonly bytes: Uint8Array;
    } & ConnectionRef)
  /** Close the socket after what was written. */
  | ({ readonly kind: 'close'; readonly reason: string } & ConnectionRef)
  /** Please move this connection to another server. No `close` follows: the sender has let go of it. */
  | ({ readonly kind: 'release' } & ConnectionRef)
  /** Whether this server has work for a listener. A listener that no server takes is taken down. */
  | { readonly kind: 'listen'; readonly listener: string; readonly isUp: boolean };

/** One message of the link; `items` accumulate over one turn of the event loop and are applied together. */
export type LinkMessage =
  /** First message of a session, frontend -> server. */
  | {
      readonly kind: 'hello';
      readonly session: bigint;
      readonly frontendId: string;
      readonly bootId: bigint;
      readonly versions: readonly number[];
    }
  /** The server's answer; only now the session lives. */
  | {
      readonly kind: 'welcome';
      readonly session: bigint;
      readonly serverId: string;
      readonly bootId: bigint;
      readonly version: number;
    }
  | {
      readonly kind: 'up';
      readonly session: bigint;
      readonly counter: number;
      readonly items: readonly UpItem[];
    }
  | {
      readonly kind: 'down';
      readonly session: bigint;
      readonly counter: number;
      readonly items: readonly DownItem[];
    }
  /**
   * Every 250 ms from the event loop. Counters of `up`/`down` messages sent and received in this session; `load` and `accepts`
   * are the server's (sessions held, and whether it takes new ones), 0 and false from a frontend.
   */
  | {
      readonly kind: 'heartbeat';
      readonly session: bigint;
      readonly sent: number;
      readonly received: number;
      readonly load: number;
      readonly accepts: boolean;
    }
  /** Ends the session as the death of the sender does. */
  | { readonly kind: 'bye'; readonly session: bigint; readonly reason: string };
