import type { Bundle } from '../../core/bundle.ts';

type Section = NonNullable<Bundle['retention']>;

/** How long what was recorded stays where. */
export function retentionChanges(before: Bundle, after: Bundle): string[] {
  const [was, is] = [before.retention, after.retention];
  if (is === undefined) return was === undefined ? [] : ['Nothing is archived or shredded by age any more.'];
  return WORDS.flatMap(([member, words, never]) => {
    const [old, now] = [was?.[member], is[member]];
    if (old === now) return [];
    const before = was === undefined ? '' : ` (was: ${old ?? 'not set'})`;
    return [now === undefined ? `${never}${before}.` : `${words} ${now}${before}.`];
  });
}

const WORDS: readonly [member: keyof Section, words: string, never: string][] = [
  ['archive_after', 'Entries of closed decisions move into archive files after', 'Entries are not archived'],
  [
    'keep_entries_for',
    'Archive files may be carried off after',
    'Archive files must stay at the site for ever',
  ],
  ['segment_size', 'Entries in one archive file:', 'Archive files have their usual size'],
  [
    'envelopes_for',
    'Sensitive values of closed decisions are destroyed after',
    'Sensitive values are not destroyed by age',
  ],
  [
    'max_disk',
    'Ledger, archive and envelopes may take',
    'There is no bound for the disk that the ledger takes',
  ],
];
