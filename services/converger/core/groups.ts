/** Which groups the configuration asks for, and which service an instance of a group is. */
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { ROLES, type Role } from '#libs/contracts/instance-record.ts';
import type { Desired, GroupName } from './model.ts';

/** [instances] no group may want more, whoever asks. */
export const COUNT_MAX = 2_000;

/** Desired counts as `seam.yml` says: one jobmanager group for each chain. */
export function groupsOf(config: ResolvedConfig): readonly Desired[] {
  const { jobmanager, ...others } = config.groups;
  return [
    ...config.chains.map(
      (chain): Desired => ({
        group: `jobmanager/${chain.id}`,
        count: jobmanager,
        source: 'config',
      }),
    ),
    ...Object.entries(others).map(
      ([group, count]): Desired => ({ group, count, source: 'config' }),
    ),
  ];
}

/** What is started for an instance of the group; undefined if the group names no service. */
export function serviceOf(
  group: GroupName,
): { readonly role: Role; readonly chain: string | undefined } | undefined {
  const [name, chain] = group.split('/');
  const role = ROLES.find((known) => known === name);
  return role === undefined ? undefined : { role, chain };
}
