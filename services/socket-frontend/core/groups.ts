/** Who hears which cast. A group means something within one server's link session only. */
import type { Connection, ServerKey } from './model.ts';

const NOBODY: ReadonlySet<Connection> = new Set();

export class Groups {
  readonly #byServer = new Map<ServerKey, Map<number, Set<Connection>>>();

  join(server: ServerKey, group: number, connection: Connection): void {
    const groups = this.#byServer.get(server) ?? new Map<number, Set<Connection>>();
    const members = groups.get(group) ?? new Set<Connection>();
    members.add(connection);
    groups.set(group, members);
    this.#byServer.set(server, groups);
  }

  /** An empty group is forgotten. */
  leave(server: ServerKey, group: number, connection: Connection): void {
    const groups = this.#byServer.get(server);
    const members = groups?.get(group);
    members?.delete(connection);
    if (members?.size === 0) groups?.delete(group);
  }

  members(server: ServerKey, group: number): ReadonlySet<Connection> {
    return this.#byServer.get(server)?.get(group) ?? NOBODY;
  }

  /** The session is over: so are its groups. */
  forget(server: ServerKey): void {
    this.#byServer.delete(server);
  }

  /** [groups] that have members */
  get size(): number {
    let size = 0;
    for (const groups of this.#byServer.values()) size += groups.size;
    return size;
  }
}
