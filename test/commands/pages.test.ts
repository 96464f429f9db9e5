import { expect, it } from 'vitest';
import { everyPage } from '../../daemon/commands/pages.ts';

it('asks for page after page, each after the one before, until there is none', async () => {
  const pages: Record<string, { items: string[]; next: string | null }> = {
    '': { items: ['a', 'b'], next: 'b' },
    b: { items: [], next: 'c' },
    c: { items: ['d'], next: null },
  };
  const asked: object[] = [];
  const found = await everyPage(async (after) => {
    asked.push(after);
    return pages[after.after ?? ''] ?? { items: ['asked for too much'], next: null };
  });
  expect(found).toEqual(['a', 'b', 'd']);
  expect(asked).toEqual([{}, { after: 'b' }, { after: 'c' }]);
});
