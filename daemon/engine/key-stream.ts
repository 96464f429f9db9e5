/** Stream of everything about keys: whose are suspended, which were rotated. */
export const KEY_STREAM = 'keys';
