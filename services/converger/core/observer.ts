/** The observer: events in, groups to look at out. A pure map and filter, nothing else. */
import type { GroupName } from './model.ts';

export type WorldEvent =
  | {
      readonly kind: 'instance_changed';
      readonly event: 'joined' | 'changed' | 'left';
      readonly group: string;
      readonly id: string;
      readonly state: string;
    }
  | {
      readonly kind: 'process_exited';
      readonly group: string;
      readonly name: string;
      readonly code: number | null;
    }
  | { readonly kind: 'peer_lost'; readonly group: string; readonly id: string };

export interface Told {
  readonly group: GroupName;
  readonly cause: string;
}

/** Which group an event concerns; undefined if none that we know. */
export function groupOfEvent(event: WorldEvent, known: ReadonlySet<GroupName>): Told | undefined {
  if (!known.has(event.group)) return undefined;
  switch (event.kind) {
    case 'process_exited':
      return {
        group: event.group,
        cause: `process_exited ${event.name} code ${event.code ?? 'signal'}`,
      };
    case 'peer_lost':
      return { group: event.group, cause: `peer_lost ${event.id}` };
    case 'instance_changed':
      return { group: event.group, cause: `instance_${event.event} ${event.id} ${event.state}` };
  }
}
