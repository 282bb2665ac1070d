/**
 * Both sides of a hand-over with a channel between them, one step after the other in any order; either side dies at any
 * step, the channel breaks at any step, what was on its way is lost or still arrives. At no time are both alive and serving.
 */
import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { type GiveEvent, type GiveState, stepGive } from './handover-giver.ts';
import { stepTake, type TakeEvent, type TakeState } from './handover-taker.ts';

type ToTaker = 'offer' | 'descriptors' | 'go' | 'lost';
type ToGiver = 'accepted' | 'held' | 'started' | 'lost';

class World {
  readonly toTaker: ToTaker[] = ['offer'];
  readonly toGiver: ToGiver[] = [];
  give: GiveState = 'offered';
  take: TakeState | undefined;
  isGiverAlive = true;
  isTakerAlive = true;
  isOpen = true;
  /** The giver reads and writes. */
  giverServes = true;
  takerServes = false;
  isAsking = false;
  starts = 0;

  act(action: string): void {
    if (action === 'to_taker') this.#takerHears();
    else if (action === 'to_giver') this.#giverHears();
    else if (action === 'break') this.#break();
    else if (action === 'late') this.#giveStep('late');
    else if (action === 'kill_giver') this.#kill('giver');
    else if (action === 'kill_taker') this.#kill('taker');
    else this.#ask();
  }

  check(): void {
    expect(this.isGiverAlive && this.isTakerAlive && this.giverServes && this.takerServes).toBe(
      false,
    );
    expect(this.starts).toBeLessThanOrEqual(1);
  }

  /** Nothing more is broken: everything that can happen does. */
  settle(): void {
    for (let turn = 0; turn < 20; turn += 1) {
      for (const action of ['to_taker', 'to_giver', 'ask']) this.act(action);
      this.check();
    }
  }

  #kill(who: 'giver' | 'taker'): void {
    if (who === 'giver') this.isGiverAlive = false;
    else this.isTakerAlive = false;
    this.#break();
  }

  /** What is on its way may still arrive before the end is seen. */
  #break(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.toTaker.push('lost');
    this.toGiver.push('lost');
  }

  #takerHears(): void {
    const heard = this.toTaker.shift();
    if (heard === undefined || !this.isTakerAlive) return;
    if (heard === 'offer') {
      this.take = 'collecting';
      this.#sayToGiver('accepted');
    } else if (this.take !== undefined) {
      const events = { descriptors: 'complete', go: 'go', lost: 'channel_lost' } as const;
      this.#takeStep(events[heard]);
    }
  }

  #takeStep(event: TakeEvent): void {
    if (this.take === undefined) return;
    const { state, effects } = stepTake(this.take, event);
    this.take = state;
    for (const effect of effects) {
      if (effect === 'say_held') this.#sayToGiver('held');
      if (effect !== 'adopt') continue;
      this.takerServes = true;
      this.starts += 1;
      this.#sayToGiver('started');
    }
  }

  #giverHears(): void {
    const heard = this.toGiver.shift();
    if (heard !== undefined) this.#giveStep(heard === 'lost' ? 'channel_lost' : heard);
  }

  #giveStep(event: GiveEvent): void {
    if (!this.isGiverAlive) return;
    const { state, effects } = stepGive(this.give, event);
    this.give = state;
    for (const effect of effects) {
      if (effect === 'send_descriptors') this.#sayToTaker('descriptors');
      if (effect === 'go') {
        this.giverServes = false;
        this.#sayToTaker('go');
      }
      if (effect === 'resume' || effect === 'resume_after_crash') this.giverServes = true;
      if (effect === 'ask') this.isAsking = true;
      if (effect === 'break_channel') this.#break();
    }
  }

  /** A new channel to the taker: what came by the old one and was not read never is. */
  #ask(): void {
    if (!this.isAsking || !this.isGiverAlive || this.give !== 'doubt') return;
    if (!this.isTakerAlive) return this.#giveStep('taker_dead');
    this.toTaker.length = 0;
    this.#takeStep('channel_lost');
    this.#giveStep(this.take === 'started' ? 'told_started' : 'told_discarded');
  }

  #sayToTaker(what: ToTaker): void {
    if (this.isOpen) this.toTaker.push(what);
  }

  #sayToGiver(what: ToGiver): void {
    if (this.isOpen) this.toGiver.push(what);
  }
}

const actions = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('to_taker', 'to_giver') },
    { weight: 1, arbitrary: fc.constantFrom('break', 'late', 'kill_giver', 'kill_taker', 'ask') },
  ),
  { maxLength: 24 },
);

suite('a hand-over with crashes', () => {
  test('two never serve at once, and whoever lives in the end serves', () => {
    fc.assert(
      fc.property(actions, (list) => {
        const world = new World();
        for (const action of list) {
          world.act(action);
          world.check();
        }
        world.settle();
        if (world.isGiverAlive && world.isTakerAlive)
          expect(world.giverServes).toBe(!world.takerServes);
        if (world.isGiverAlive && !world.isTakerAlive)
          expect(world.giverServes || world.give === 'done').toBe(true);
        if (!world.isGiverAlive && world.isTakerAlive)
          expect(world.takerServes || world.take !== 'held').toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  test('undisturbed, the connections are the taker’s', () => {
    const world = new World();
    world.settle();
    expect(world).toMatchObject({ give: 'done', take: 'started', takerServes: true });
    expect(world.giverServes).toBe(false);
  });

  test('a discarded slice is never started', () => {
    expect(stepTake('discarded', 'go')).toEqual({ state: 'discarded', effects: [] });
    expect(stepTake('discarded', 'complete')).toEqual({ state: 'discarded', effects: [] });
  });
});
