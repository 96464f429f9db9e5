const RFC3339_MS_UTC = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** Whether a value is the one form of time in entries and acts: RFC 3339, UTC, milliseconds, a date that exists. */
export function isTimestamp(value: unknown): value is string {
  if (typeof value !== 'string' || !RFC3339_MS_UTC.test(value)) {
    return false;
  }
  const ms = Date.parse(value);
  // 31 February parses in some engines as March; printing it again tells.
  return !Number.isNaN(ms) && new Date(ms).toISOString() === value;
}

/** Whether a text is the form of time that people write into policy: RFC 3339, UTC, whole seconds, a date that exists. */
export function isInstant(text: string): boolean {
  return /^[^.]*Z$/.test(text) && isTimestamp(text.replace('Z', '.000Z'));
}
