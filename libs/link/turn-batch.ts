/** Gathers what one turn of the event loop queues, and cuts it into messages. */
import type { DownItem, UpItem } from './items.ts';
import { itemBytesOf } from './link-codec.ts';
import { ITEMS_MAX, MESSAGE_BYTES_SOFT } from './limits.ts';

/**
 * Cuts items into runs of about {@link MESSAGE_BYTES_SOFT} bytes. Neighbours of one connection stay together: an
 * answer, its acknowledgement and the capsule change it made are applied together or not at all.
 */
export function cutIntoMessages<I extends UpItem | DownItem>(
  items: readonly I[],
  softBytes = MESSAGE_BYTES_SOFT,
): readonly (readonly I[])[] {
  const messages: I[][] = [];
  let current: I[] = [];
  let bytes = 0;
  for (const item of items) {
    const isFull = bytes >= softBytes || current.length >= ITEMS_MAX / 2;
    if (isFull && current.length > 0 && !areTogether(current.at(-1), item)) {
      messages.push(current);
      current = [];
      bytes = 0;
    }
    current.push(item);
    bytes += itemBytesOf(item);
  }
  if (current.length > 0) messages.push(current);
  return messages;
}

function areTogether(before: UpItem | DownItem | undefined, item: UpItem | DownItem): boolean {
  if (before === undefined || !('handle' in before) || !('handle' in item)) return false;
  return before.handle === item.handle;
}

/** [bytes] about what an item weighs, without looking at its texts. */
export function roughBytesOf(item: UpItem | DownItem): number {
  if ('bytes' in item) return 64 + item.bytes.length;
  return item.kind === 'open' ? 512 + item.capsule.length : 64;
}
