/** Plain data of unknown shape. */

/** Whether a value is a mapping of keys: an object that is not a list. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
