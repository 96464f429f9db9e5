import { isInstant } from '../formats/timestamp.ts';
import type { Bundle } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';

/** Dates that no calendar has: nothing would be before or after them, and who is enrolled until then would be so for ever. */
export function checkInstants({ metadata, principals, oidc }: Bundle): Defect[] {
  const instants: (readonly [string, string | undefined])[] = [
    [pointerOf('metadata', 'issued_at'), metadata.issued_at],
    ...Object.entries(principals).map(
      ([id, { expires_at }]) => [pointerOf('principals', id, 'expires_at'), expires_at] as const,
    ),
    ...(oidc?.providers ?? []).map(
      ({ keys_until }, index) => [pointerOf('oidc', 'providers', index, 'keys_until'), keys_until] as const,
    ),
  ];
  return instants.flatMap(([pointer, text]) =>
    text === undefined || isInstant(text)
      ? []
      : [
          {
            pointer,
            found: `a time that does not exist: ${text}`,
            write_instead: 'write a date of the calendar, UTC',
          },
        ],
  );
}
