/**
 * One slice on the side that gives: (state, event) -> (state, effects). Until `go` the giver serves its connections as if
 * nothing happened; from `go` on it keeps silent duplicates until it knows what became of them.
 *
 * Note [Doubt]
 * The channel broke after `go`: the taker may have started or not. A new channel asks; the answer is final on the other side
 * before it is said, so `discarded` lets us go on. Nobody listens there any more: the taker is dead, its copies are closed, and
 * we go on as after a crash, since it may have answered some lines.
 */

export type GiveState =
  | 'offered'
  /** Descriptors are on their way; we serve on. */
  | 'sending'
  /** After `go`. */
  | 'given'
  | 'doubt'
  /** The connections are the taker's, ... */
  | 'done'
  /** ... or ours as ever. */
  | 'kept';

export type GiveEvent =
  | 'accepted'
  | 'refused'
  | 'held'
  | 'started'
  | 'channel_lost'
  | 'late'
  | 'told_started'
  | 'told_discarded'
  | 'taker_dead';

export type GiveEffect =
  | 'send_descriptors'
  /** Stop reading, take the states out, say `go`. */
  | 'go'
  /** Close our duplicates. */
  | 'release'
  /** Serve on, nothing was touched. */
  | 'resume'
  /** Serve on; the taker may have read and written. */
  | 'resume_after_crash'
  | 'ask'
  /** Too slow: break the channel, which makes the taker drop its copies. */
  | 'break_channel';

export interface GiveStep {
  readonly state: GiveState;
  readonly effects: readonly GiveEffect[];
}

/** An event that means nothing in a state changes nothing. */
export function stepGive(state: GiveState, event: GiveEvent): GiveStep {
  switch (state) {
    case 'offered':
    case 'sending':
      return beforeGo(state, event);
    case 'given':
      if (event === 'started') return { state: 'done', effects: ['release'] };
      return event === 'channel_lost' ? { state: 'doubt', effects: ['ask'] } : stay(state);
    case 'doubt':
      return inDoubt(event);
    case 'done':
    case 'kept':
      return stay(state);
  }
}

function beforeGo(state: 'offered' | 'sending', event: GiveEvent): GiveStep {
  if (event === 'accepted' && state === 'offered')
    return { state: 'sending', effects: ['send_descriptors'] };
  if (event === 'held' && state === 'sending') return { state: 'given', effects: ['go'] };
  if (event === 'late') return { state: 'kept', effects: ['break_channel'] };
  return event === 'refused' || event === 'channel_lost'
    ? { state: 'kept', effects: [] }
    : stay(state);
}

/** See Note [Doubt]. */
function inDoubt(event: GiveEvent): GiveStep {
  switch (event) {
    case 'told_started':
      return { state: 'done', effects: ['release'] };
    case 'told_discarded':
      return { state: 'kept', effects: ['resume'] };
    case 'taker_dead':
      return { state: 'kept', effects: ['resume_after_crash'] };
    default:
      return stay('doubt');
  }
}

function stay(state: GiveState): GiveStep {
  return { state, effects: [] };
}
