/** Plain data whose shape is not known yet. */

/** Whether a value is a mapping of keys: an object, and no list. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
