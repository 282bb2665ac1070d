/** What a batch comes down to before it meets the books, and what the books look like to readers. Types only. */

/** A batch of journal records, folded: small, ordered, free of what the books do not keep. */
export interface BatchFold {
  /** Heights of the identity buckets, in order of appearance. */
  readonly heights: readonly number[];
  readonly workers: readonly WorkerFold[];
  /** Where work goes: one slot per worker, minute and mode. */
  readonly slots: readonly SlotFold[];
  /** Shares, 36 bytes each: see `entryOf` in fold-batch.ts. */
  readonly entries: Uint8Array;
  readonly shareCount: number;
  readonly blocks: readonly BlockFold[];
  /** Records of kinds this version does not know: they pass the watermark uncounted. */
  readonly unknownCount: number;
}

/** What a batch says of one worker apart from its work. Maxima: right also when a share turns out a duplicate. */
export interface WorkerFold {
  readonly name: string;
  /** Address the credit belongs to. */
  readonly user: string;
  readonly hasShares: boolean;
  /** [ms] of the last share; 0: none */
  readonly lastShareMs: number;
  /** Difficulty the last share was credited with. */
  readonly lastDifficulty: number;
  /** Highest difficulty a hash really had, and when. */
  readonly bestDifficulty: number;
  readonly bestMs: number;
  readonly rejects: readonly (readonly [reason: string, count: number])[];
}

export interface SlotFold {
  /** Index into `workers`. */
  readonly worker: number;
  /** [minutes] since 1970 */
  readonly minute: number;
  readonly isSolo: boolean;
}

/** What a batch says of one block; parts that it does not mention are absent. */
export interface BlockFold {
  readonly hash: string;
  readonly mode?: 'pool' | 'solo';
  readonly found?: {
    readonly worker: string;
    readonly height: number;
    readonly timeMs: number;
    readonly jobId: string;
    /** [sat] what its coinbase pays out; 0 if the submission does not say */
    readonly valueSat: number;
    /** Network target, compact; 0 if the submission does not say. */
    readonly nbits: number;
  };
  readonly settled?: {
    readonly state: 'accepted' | 'rejected';
    readonly timeMs: number;
    readonly reason: string;
  };
}

export type BlockState = 'submitted' | 'accepted' | 'rejected' | 'mature' | 'orphaned';

/** A Redis hash as it is read. */
export type RawHash = Readonly<Record<string, string>>;

/** Work by minute since 1970. */
export type MinuteSeries = ReadonlyMap<number, bigint>;
