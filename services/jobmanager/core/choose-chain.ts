/** Which chain a jobmanager without `SEAM_CHAIN` serves. */

/** The configured chain with the fewest ready jobmanagers; of equals the first. @param served chain of each ready one */
export function chooseChain(
  configured: readonly string[],
  served: readonly string[],
): string | undefined {
  const count = (chain: string) => served.filter((each) => each === chain).length;
  return configured.toSorted((a, b) => count(a) - count(b))[0]; // The sort is stable.
}
