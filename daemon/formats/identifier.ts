/** A UUIDv7 in lower-case hex (RFC 9562, section 5.7), as part of a pattern. */
export const UUIDV7 = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

/** What an id is the id of: a decision, its permit, a break-glass session, a sealed grant, an incident. */
export type IdPrefix = 'dec' | 'prm' | 'bg' | 'grant' | 'inc';

const IDENTIFIER = new RegExp(`^([a-z]+)_${UUIDV7}$`);

/** Whether a text is the prefix, an underscore and a UUIDv7. */
export function isIdentifier(text: string, prefix: IdPrefix): boolean {
  return IDENTIFIER.exec(text)?.[1] === prefix;
}
