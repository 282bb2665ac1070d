/** Options a miner gives in its password: `d=1024`, `sd=64;md=16`, `x,d=512`. What is no option is ignored. */

/** Difficulties the miner asks for; undefined where it does not. All finite and above 0. */
export interface PasswordOptions {
  /** `d=`: fixed, no vardiff */
  readonly fixedDifficulty: number | undefined;
  /** `sd=`: vardiff starts here */
  readonly startDifficulty: number | undefined;
  /** `md=`: vardiff goes no lower */
  readonly minDifficulty: number | undefined;
  /** `xd=`: vardiff goes no higher */
  readonly maxDifficulty: number | undefined;
}

/** `[+-]digits[.digits][e…]`, with the k, M, G, T of the field. */
const OPTION = /^(d|sd|md|xd)=(\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?)([kmgt]?)$/i;
const SCALE: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const OPTIONS_MAX = 16;

/** Of an option given twice the last one holds. */
export function parsePassword(text: string): PasswordOptions {
  const found = new Map<string, number>();
  for (const part of text.split(/[,;\s]+/, OPTIONS_MAX)) {
    const [, name = '', digits = '', unit = ''] = OPTION.exec(part) ?? [];
    const value = Number(digits) * (SCALE[unit.toLowerCase()] ?? 1);
    if (name !== '' && Number.isFinite(value) && value > 0) found.set(name.toLowerCase(), value);
  }
  return {
    fixedDifficulty: found.get('d'),
    startDifficulty: found.get('sd'),
    minDifficulty: found.get('md'),
    maxDifficulty: found.get('xd'),
  };
}
