/** Views of the mesh and what changed between two of them. Pure. */
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import type { RegistryChange } from './registry.ts';

export type View = ReadonlyMap<string, InstanceRecord>;

export function keyOf(record: Pick<InstanceRecord, 'role' | 'id'>): string {
  return `${record.role}:${record.id}`;
}

export function viewOf(records: readonly InstanceRecord[]): View {
  return new Map(records.map((record) => [keyOf(record), record]));
}

/**
 * The view after a scan.
 *
 * @param keepsMissing true: records the scan did not show stay (a store that was just emptied knows nobody yet)
 */
export function afterScan(
  before: View,
  scanned: readonly InstanceRecord[],
  keepsMissing: boolean,
): View {
  const after = viewOf(scanned);
  return keepsMissing ? new Map([...before, ...after]) : after;
}

/** The view after somebody announced itself. Older boots of a name do not overwrite younger ones. */
export function afterAnnouncement(before: View, { event, record }: RegistryChange): View {
  const key = keyOf(record);
  const known = before.get(key);
  if (known !== undefined && known.bootId !== record.bootId && known.startedMs > record.startedMs)
    return before;
  const after = new Map(before);
  if (event === 'left') after.delete(key);
  else after.set(key, record);
  return after;
}

/** What a watcher is told: another boot under the same name is a `left` and a `joined`. */
export function changesBetween(before: View, after: View): readonly RegistryChange[] {
  const changes: RegistryChange[] = [];
  for (const [key, record] of before) {
    if (after.get(key)?.bootId !== record.bootId) changes.push({ event: 'left', record });
  }
  for (const [key, record] of after) {
    const known = before.get(key);
    if (known?.bootId !== record.bootId) changes.push({ event: 'joined', record });
    else if (differs(known, record)) changes.push({ event: 'changed', record });
  }
  return changes;
}

/** Load figures change all the time and are no event. */
function differs(a: InstanceRecord, b: InstanceRecord): boolean {
  return (
    a.state !== b.state ||
    a.readyMs !== b.readyMs ||
    JSON.stringify(a.endpoints) !== JSON.stringify(b.endpoints) ||
    JSON.stringify(a.caps) !== JSON.stringify(b.caps)
  );
}
