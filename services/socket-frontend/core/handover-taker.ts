/**
 * One slice on the side that takes: (state, event) -> (state, effects). Nothing is read from a descriptor or written to it
 * before `go`. A slice whose channel breaks before `go` is discarded, for ever: that is what `ask` may be told.
 */

export type TakeState = 'collecting' | 'held' | 'started' | 'discarded';

export type TakeEvent =
  /** The last of its descriptors came. */
  | 'complete'
  | 'go'
  /** The channel broke, or its giver came back by another one. */
  | 'channel_lost';

export type TakeEffect =
  | 'say_held'
  /** Serve those with a state, close the copies of the others, then say `started`. */
  | 'adopt'
  /** Close the copies. */
  | 'drop';

export interface TakeStep {
  readonly state: TakeState;
  readonly effects: readonly TakeEffect[];
}

/** An event that means nothing in a state changes nothing. */
export function stepTake(state: TakeState, event: TakeEvent): TakeStep {
  if (state === 'collecting' && event === 'complete')
    return { state: 'held', effects: ['say_held'] };
  if (state === 'held' && event === 'go') return { state: 'started', effects: ['adopt'] };
  if ((state === 'collecting' || state === 'held') && event === 'channel_lost')
    return { state: 'discarded', effects: ['drop'] };
  return { state, effects: [] };
}
