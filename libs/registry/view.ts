/** Views of the mesh and what changed between two of them. Pure. */
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import type { RegistryChange } from './registry.ts';

/** By role and id. */
export type View = ReadonlyMap<string, InstanceRecord>;

export function keyOf(record: Pick<InstanceRecord, 'role' | 'id'>): string {
  return `${record.role}:${record.id}`;
}

export function viewOf(records: readonly InstanceRecord[]): View {
  return new Map(records.map((record) => [keyOf(record), record]));
}

export interface ScanRules {
  /** True: records the scan did not show stay (a store that was just emptied knows nobody yet). */
  readonly keepsMissing: boolean;
  /** Keys that were announced while the scan was on its way: what the scan saw of them may be older. */
  readonly announced: ReadonlySet<string>;
  /** Boots that said goodbye: a scan may still have seen their record. */
  readonly hasLeft: (bootId: string) => boolean;
}

/** The view after a scan. What we know of a boot never goes back to an older revision. */
export function afterScan(
  before: View,
  scanned: readonly InstanceRecord[],
  { keepsMissing, announced, hasLeft }: ScanRules,
): View {
  const after = new Map<string, InstanceRecord>();
  for (const [key, record] of before) {
    if (keepsMissing || announced.has(key)) after.set(key, record);
  }
  for (const record of scanned) {
    if (hasLeft(record.bootId)) continue;
    const key = keyOf(record);
    const known = before.get(key);
    if (known === undefined || isNewer(record, known, announced.has(key))) after.set(key, record);
    else after.set(key, known);
  }
  return after;
}

function isNewer(scanned: InstanceRecord, known: InstanceRecord, isAnnounced: boolean): boolean {
  if (scanned.bootId !== known.bootId) return !isAnnounced;
  return (scanned.revision ?? 0) >= (known.revision ?? 0);
}

/** The view after somebody announced itself. What is older than what we know changes nothing. */
export function afterAnnouncement(before: View, { event, record }: RegistryChange): View {
  const key = keyOf(record);
  const known = before.get(key);
  const after = new Map(before);
  if (event === 'left') {
    if (known?.bootId === record.bootId) after.delete(key);
  } else if (known === undefined || !isOlder(record, known)) after.set(key, record);
  return after;
}

function isOlder(announced: InstanceRecord, known: InstanceRecord): boolean {
  if (announced.bootId !== known.bootId) return announced.startedMs < known.startedMs;
  return (announced.revision ?? 0) < (known.revision ?? 0);
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
    else if (isNews(known, record)) changes.push({ event: 'changed', record });
  }
  return changes;
}

/** Whether others should know at once. Load figures change all the time and are no event. */
export function isNews(before: InstanceRecord, after: InstanceRecord): boolean {
  return (
    before.state !== after.state ||
    before.readyMs !== after.readyMs ||
    JSON.stringify(before.endpoints) !== JSON.stringify(after.endpoints) ||
    JSON.stringify(before.caps) !== JSON.stringify(after.caps)
  );
}
