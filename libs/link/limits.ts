/** Bounds of everything that crosses the link. Both sides hold them; the codec refuses what is above. */

/** [bytes] one link message */
export const MESSAGE_BYTES_MAX = 64 * 1_048_576;
/** [items] in one link message */
export const ITEMS_MAX = 1_048_576;
/** [bytes] above which what one event-loop turn gathered is split into several messages, never within a connection's run */
export const MESSAGE_BYTES_SOFT = 1_048_576;
/** [bytes] one line, write, cast or keep-alive */
export const PAYLOAD_BYTES_MAX = 2 * 1_048_576;
/** [bytes] a session capsule; a server keeps it far below and rewrites it */
export const CAPSULE_BYTES_MAX = 131_072;
/** [bytes] one mark */
export const MARK_BYTES_MAX = 16;
/** [marks] in one `open` */
export const MARKS_MAX = 8;
/** [ms] between heartbeats, and between looks at the clock */
export const HEARTBEAT_MS = 250;
/** [ms] of silence that end a session; also how long an event loop may hang before its own sessions are over */
export const SILENCE_MS = 1_000;
/** [bytes] that wait for one peer at most: a peer so far behind is as good as dead */
export const QUEUE_BYTES_MAX = 128 * 1_048_576;
/** [messages] that wait for one peer at most */
export const QUEUE_MESSAGES_MAX = 65_536;
/** [bytes] waiting above which a frontend reads no more from its miners, until half of it is sent */
export const CONGESTION_BYTES = 8 * 1_048_576;
