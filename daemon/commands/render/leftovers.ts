import { paint, plain } from './text.ts';

/** What killed processes left beside a site, for people: what is gone, and what they have to look at themselves. */
export function leftoverWords({ cleared, left }: { cleared: string[]; left: string[] }): string[] {
  return [
    ...cleared.map((path) => `Removed ${plain(path)}, which a process that was killed had left.`),
    ...left.map((path) =>
      paint(
        'yellow',
        `${plain(path)} was left by a process that was killed, and could not be removed: remove it. It may hold keys, and what was decrypted.`,
      ),
    ),
  ];
}
