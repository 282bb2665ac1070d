import { run } from '#libs/runtime/run.ts';
import { start } from './service.ts';

if (import.meta.main) await run({ role: 'reporter', start });
