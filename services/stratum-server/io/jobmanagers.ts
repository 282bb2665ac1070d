/** Which jobmanagers of a chain can be reached: the registry's records that the bus is connected to. */
import type { Bus, BusPeer } from '#libs/bus/bus.ts';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import type { Registry } from '#libs/registry/registry.ts';

/** Jobmanagers of `chain` as the registry knows them, in any state. */
export function jobmanagersOf(registry: Registry, chain: string): readonly InstanceRecord[] {
  return registry.view.filter(
    (record) => record.role === 'jobmanager' && record.caps['chain'] === chain,
  );
}

/** Those of them the bus is connected to right now. */
export function reachableJobmanagers(
  bus: Bus,
  registry: Registry,
  chain: string,
): readonly BusPeer[] {
  const bootIds = new Set(jobmanagersOf(registry, chain).map((record) => record.bootId));
  return bus.peers.filter((peer) => bootIds.has(peer.bootId));
}
