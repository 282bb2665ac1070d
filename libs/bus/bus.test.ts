/** Both buses keep the same contract. */
import { createMemoryRig, createZeromqRig } from './bus.fixture.ts';
import { describeBus } from './bus-contract.ts';

describeBus('memory', createMemoryRig);
describeBus('zeromq', createZeromqRig);
